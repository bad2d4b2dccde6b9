"""One small file a kind of component: what it is given, what it returns, what it must keep."""
