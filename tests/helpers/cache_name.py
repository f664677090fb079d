"""What the library calls the cache of a generation, in calls and in outputs."""

from dataclasses import fields

from transformers.modeling_outputs import CausalLMOutputWithPast

# What stands after loss and logits: past_key_values, or cache from transformers 5.24 on.
CACHE = fields(CausalLMOutputWithPast)[2].name
