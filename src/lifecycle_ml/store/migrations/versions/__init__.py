"""One file a revision, in the order of their numbers; none is ever changed once it was released."""
