//! Storage engines behind the transaction store of Kontor: sled and memory.
