"""SoftCoT and SoftCoT++: a frozen assistant's hidden states as soft thoughts in a frozen LLM's prompt."""
