"""The datasets that lmkit itself brings, announced like any plugin's."""

from lmkit.registry.component import Component
from lmkit.registry.hookspecs import hookimpl


@hookimpl
def lmkit_components() -> list[Component]:
    """Announce the datasets."""
    datasets = [
        ("faces", "faces:Faces", "generated faces with exact landmarks, nothing to download"),
        ("folder", "folder:Folder", "every image below a folder, without annotation"),
        ("csv", "table:CsvTable", "a CSV of files, with optional points, subject and split"),
        ("celeba", "celeba:CelebA", "CelebA's own layout, with the MAFL lists where present"),
        ("aflw", "aflw:AFLW", "AFLW with five points, as prepared for landmark discovery"),
        ("300w", "ibug:IBug", "images with a .pts file beside each, split as 300-W commonly is"),
        ("coco", "coco:Coco", "COCO's JSON of keypoints, one image for each object"),
        ("yolo", "yolo:Yolo", "keypoints in YOLO's pose format, one image for each object"),
        ("mpii", "mpii:MPII", "MPII Human Pose, one image for each person"),
    ]
    return [
        Component("dataset", name, f"lmkit.data.sets.{target}", summary)
        for name, target, summary in datasets
    ]
