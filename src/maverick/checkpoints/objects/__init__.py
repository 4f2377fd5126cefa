"""Objects, named by their hashes, and the packs that hold them."""
