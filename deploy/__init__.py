"""Running Headwater: the command line, the local stack, the images, the wire contract."""
