"""What ports of model families get wrong, row by row: the mutants and the ports that have it.

A mutant is one of the suite's, which its cases kill; a port is a model of transformers in which
something was exchanged, which ``verify`` finds, places and names with a sentence. What is wrong
before a network or behind it no port has: there the sentence is the catalogue's, which the suite
says where a case fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

__all__ = ["ROWS", "Row"]


@final
@dataclass(frozen=True)
class Row:
    """One defect, or several of one kind.

    Args:
        defect: what is wrong.
        mutants: names of the suite's mutants that have it.
        ports: names of the broken ports that have it.
        outside: whether it is before a network or behind it, where no port has it.
    """

    defect: str
    mutants: tuple[str, ...]
    ports: tuple[str, ...] = ()
    outside: bool = False


ROWS = (
    # rotary positions
    Row(
        "YaRN's attention factor ignored, or squared",
        ("yarn.factor_ignored", "yarn.factor_squared"),
        ("attention_factor",),
    ),
    Row(
        "YaRN's second factor, of the softmax of latent attention",
        ("latent.scale_of_the_head",),
        ("latent_scale",),
    ),
    Row(
        "LongRoPE's attention factor dropped where a part of a head turns",
        ("longrope.factor_ignored",),
        ("long_factor",),
    ),
    Row(
        "pairs of the whole head for those of its turned part",
        ("rotary.pairs_of_the_whole_head",),
        ("whole_head", "whole_stablelm"),
    ),
    Row(
        "scaling or base of one kind of layer in another",
        ("rotary.layers_exchanged", "rotary.scaling_of_windows"),
        ("local_theta", "theta_modernbert"),
    ),
    Row(
        "base or scaling lost",
        ("rotary.theta_ignored", "rotary.scaling_ignored"),
        ("theta_lost", "both_lost", "linear_off", "dynamic_off", "theta"),
    ),
    Row("factors of Llama 3.1 for 3.2", ("llama3.factor_of_another",), ("factor_of_31",)),
    Row(
        "halves for neighbours, or neighbours for halves",
        ("rotary.halves_for_neighbours", "latent.halves_for_neighbours", "rotate.interleaved"),
        ("interleaved",),
    ),
    Row("layers without RoPE turned", ("rotary.in_every_layer",), ("everywhere",)),
    # decoders
    Row(
        "Gemma's w for 1 + w",
        ("norm.offset_ignored", "rms_norm.one_plus_weight"),
        ("w_for_1_plus_w", "one_plus"),
    ),
    Row(
        "the embedding's scale left out, or rounded",
        ("embedding.scale_rounded", "embedding.scale_ignored"),
        ("no_embedding_scale", "embedding_16"),
    ),
    Row(
        "soft caps left out",
        ("attention.no_softcap", "cache.no_softcap", "head.softcap_ignored"),
        ("no_cap", "final_cap"),
    ),
    Row(
        "norms after sublayers left out, or put before them",
        ("output_norm.ignored", "output_norm.before"),
        ("no_output_norm",),
    ),
    Row(
        "norms of queries and keys left out, over other elements, or after RoPE",
        ("qk_norm.ignored", "qk_norm.across_heads", "qk_norm.of_each_head"),
        ("qk_norm", "late_norm"),
    ),
    Row("GELU by tanh for GELU by erf", ("gelu.by_tanh", "gelu_tanh.by_erf"), ("erf", "tanh")),
    Row(
        "fused tensors taken apart in another order",
        ("swiglu.swapped",),
        ("values_phi3", "dealt_phi3"),
    ),
    Row("parallel residuals in series", ("layers.parallel_in_series",), ("sequential",)),
    Row("the residual's multiplier left out", ("layers.residual_scale_ignored",), ("residual",)),
    Row(
        "the logits' multiplier left out, or inverted",
        ("head.scale_ignored", "head.scale_inverted"),
        ("multiplier", "inverted"),
    ),
    Row("another scale of attention's scores", ("attention.own_scale",), ("attention_multiplier",)),
    Row("ALiBi left out", ("alibi.factor_ignored",), ("no_alibi",)),
    Row("learned positions without their offset", ("positions.offset_ignored",), ("offset_2",)),
    Row(
        "a head's bias dropped, or a head tied that is not",
        ("head.bias_of_tied_ignored", "head.tied"),
        ("head_bias", "tied"),
    ),
    Row(
        "experts' weights divided by their sum, or not",
        ("experts.always_renormalised", "experts.never_renormalised"),
        ("renormalised",),
    ),
    Row(
        "experts scored, weighed or counted in another way",
        ("experts.softmax_for_sigmoid", "experts.weighed_by_logits", "experts.scale_ignored"),
        ("sigmoid", "fewer", "routed_scale"),
    ),
    Row(
        "the shared expert left out, or its gate",
        ("experts.shared_ignored", "experts.shared_without_gate"),
        ("no_shared",),
    ),
    Row(
        "groups of experts ignored, or the bias of the choice misused",
        ("experts.groups_ignored", "experts.weighed_with_bias"),
        ("no_groups", "choice_bias"),
    ),
    Row("sinks left out", ("sinks.ignored",), ("no_sinks",)),
    Row(
        "gpt-oss's bounds and shift of gates left out",
        ("gates.without_bounds", "gates.shift_ignored"),
        ("no_limit", "slope"),
    ),
    Row(
        "windows in other layers, or of another size",
        ("layers.pattern_shifted", "window.too_wide"),
        ("swapped_types", "all_sliding", "window", "window_25"),
    ),
    Row("a head's size taken for width by heads", ("attention.own_scale",), ("scale_width",)),
    # encoders
    Row(
        "BERT's segments dropped, or its norm of embeddings; its norms put before blocks",
        ("embedding.segments_ignored", "embedding.norm_ignored", "layers.norm_first"),
        ("segments", "embedding_norm"),
    ),
    Row(
        "RoBERTa's and MPNet's positions without their offset, or padding counted",
        ("positions.offset_ignored", "positions.padding_counted"),
        ("offset_roberta", "offset_xlm_roberta", "offset_mpnet"),
    ),
    Row(
        "DistilBERT's norm of embeddings, or its activation",
        ("embedding.norm_ignored", "gelu.by_tanh"),
        ("embedding_norm_distilbert", "tanh_distilbert"),
    ),
    Row("ELECTRA's norm before its table", ("head.norm_skipped",), ("head_norm_electra",)),
    Row(
        "ALBERT's norms, or weights of the wrong group of layers",
        ("layer_norm.default_eps", "layers.sets_in_turn"),
        ("one_set",),
    ),
    Row(
        "DeBERTa's distances of one way alone, backwards, or without their logarithm",
        (
            "distances.of_queries",
            "distances.of_keys",
            "distances.backwards",
            "distances.straight",
        ),
        ("one_type",),
    ),
    Row("MPNet's distances left out", ("biases.ignored",), ("no_distances",)),
    Row(
        "ModernBERT's local layers, its gate, or a norm of its first attention",
        (
            "window.ignored_both_ways",
            "window.one_way",
            "gates.exchanged",
            "layers.first_norm_added",
        ),
        ("no_local", "gate_modernbert"),
    ),
    Row(
        "vectors and classes pooled of other positions, or of padding",
        ("head.padding_pooled", "head.last_pooled", "head.all_pooled", "head.padding_averaged"),
        ("mean_pooled",),
    ),
    Row(
        "a head's dense layer skipped",
        ("head.transform_skipped", "head.gelu_approximate"),
        ("transform",),
    ),
    Row(
        "the delta rule without decays or corrections, with other heads, taps, or padding read",
        (
            "delta.decay_ignored",
            "delta.corrected_whole",
            "delta.padding_decays",
            "delta.taps_reversed",
            "delta.padding_between",
            "delta.inputs_forgotten",
            "delta.keys_in_turn",
            "delta.keys_of_any_length",
            "delta.unscaled",
        ),
        ("still_qwen3_5", "taps_qwen3_5"),
    ),
    Row("a gate of attention's output left out", ("attention.gate_ignored",), ("gate_qwen3_5",)),
    # encoder-decoders
    Row(
        "T5's biases by distance left out, in wrong buckets, of another layer, or not in decoding",
        (
            "biases.ignored",
            "biases.backwards",
            "biases.one_way",
            "biases.straight",
            "biases.of_first_layer",
            "biases.not_in_decoding",
        ),
        ("distances_t5",),
    ),
    Row("T5's scores divided by √d", ("attention.own_scale",), ("scaled_t5",)),
    Row(
        "the scale of T5's tied head left out, or the wrong way round",
        ("head.scale_ignored", "head.scale_inverted"),
        ("decoder_scale",),
    ),
    Row(
        "BART's positions without their offset, Marian's sinusoids laid otherwise",
        ("positions.offset_ignored", "sinusoids.laid_otherwise", "sinusoids.usual_rates"),
        ("positions_mbart",),
    ),
    Row("the padding of a source read", ("memory.padding_seen",), ("source_mask",)),
    Row(
        "a decoder's start, or its first or last token, not forced",
        ("start.of_the_tokenizer", "constraints.first_unforced", "constraints.last_unforced"),
        outside=True,
    ),
    Row(
        "beams: penalty of lengths, early stopping, ended beams, the cache's order",
        (
            "beams.penalty_ignored",
            "beams.penalty_of_the_prompt",
            "beams.stopped_early",
            "beams.never_stopped_early",
            "beams.newest_alone",
            "beams.running",
            "beams.in_their_rows",
        ),
        outside=True,
    ),
    # speech
    Row(
        "a sound padded by zeros where it is mirrored, the last frame kept",
        ("features.zeros_around", "features.last_frame"),
        outside=True,
    ),
    Row(
        "HTK's mels for Slaney's, or their heights; padded by 30 s, not to 30 s",
        ("features.htk", "features.of_height_one", "features.padded_by_a_window"),
        outside=True,
    ),
    Row(
        "suppressed tokens, rules of times, tokens of language and task",
        (
            "speech.nothing_suppressed",
            "speech.first_not_suppressed",
            "speech.first_at_all_times",
            "speech.times_as_they_come",
            "speech.likeliest_single",
            "speech.times_always_off",
            "speech.english",
            "speech.task_left_out",
        ),
        outside=True,
    ),
    Row(
        "long sounds: windows that lose or repeat words, silence and repetitions taken",
        (
            "speech.whole_windows",
            "speech.one_after_the_other",
            "speech.silence_ignored",
            "speech.repetitions_taken",
        ),
        outside=True,
    ),
    # pictures
    Row(
        "normalisation and the order of colours",
        (
            "patches.colours_together",
            "processor.blue_first",
            "processor.normalised_alike",
            "processor.not_rescaled",
            "processor.cut_at_the_corner",
        ),
        outside=True,
    ),
    Row(
        "the table of positions for another grid",
        ("patches.corners_kept", "patches.first_positions"),
        outside=True,
    ),
    Row(
        "the vectors of a picture: how many, where, and their squares",
        (
            "pictures.last_left_out",
            "pictures.one_late",
            "pictures.of_the_first_row",
            "pictures.squares_by_columns",
            "pictures.stripes",
        ),
        outside=True,
    ),
)
