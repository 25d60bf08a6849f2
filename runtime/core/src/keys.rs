//! How keys are laid out in the store. Every key begins with the merchant (`id`, 0x00), then one byte for the space. Not here: what
//! plugins put into their own keys.
