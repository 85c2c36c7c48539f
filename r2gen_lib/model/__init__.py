"""The system from pixels to words: encoder, alignment, frozen LLM, three modes, checkpoints."""
