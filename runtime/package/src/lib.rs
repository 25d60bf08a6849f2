//! What a plugin is as a file: manifest, packed plugin, digest, signature; and the tool that builds one.
