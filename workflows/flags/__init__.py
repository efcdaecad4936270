"""The flags of the verbs; those of a run follow from its options."""
