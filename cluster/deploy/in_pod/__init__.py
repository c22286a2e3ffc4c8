"""Programs that are sent into a pod and run there: only what the image has, and no import of this package."""
