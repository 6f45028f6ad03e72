"""Published flavours of annotation files: one module each, all giving `WrittenQuery`s."""
