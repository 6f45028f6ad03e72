"""What every plug-in must keep to, as checks that its author runs too: `check_backbone` and `check_trimmer`.

    from vmrbench.specs import Dims
    from vmrbench.testing.conformance import check_backbone

    def test_my_backbone_conforms():
        check_backbone(SPEC, Dims(video=16, text=12))

A check that fails raises `PluginError` with one line: the plug-in, what was found, what was expected.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from vmrbench.config.options import fill_dataclass, under
from vmrbench.config.settings import TrainConfig
from vmrbench.errors import ConfigError, PluginError, did_you_mean
from vmrbench.protocols import Backbone, Distillable, LearnsFromAnnotations, SharesEncoder
from vmrbench.specs import BackboneSpec, Dims
from vmrbench.testing.batch_edits import without_labels
from vmrbench.testing.factories import make_batch
from vmrbench.testing.predictions import changed_by_company, moments_apart, predict_moments
from vmrbench.testing.trimmer_conformance import check_trimmer
from vmrbench.trim.access import withhold_clips, withhold_features
from vmrbench.types import Annotation, Batch, DistillTargets

__all__ = ["check_backbone", "check_trimmer"]

TOLERANCE = 1e-4


def check_backbone(
    spec: BackboneSpec, dims: Dims, options: Any = None, *, without_gradient: Sequence[str] = ()
) -> None:
    """Run every check on a backbone.

    Args:
        spec: what the plug-in offers.
        dims: widths to build it for; small ones do.
        options: an options object; default is `spec.options()`. Small ones make the checks fast.
        without_gradient: prefixes of parameters that no loss reaches, besides the module's `unused_parameters`.

    Raises:
        PluginError: the first check that fails.
    """
    torch.manual_seed(0)
    chosen = spec.options() if options is None else options
    model = spec.build(chosen, dims).eval()
    batch = sample_batch(dims)
    who = f"backbone {spec.name!r}"
    check_training(spec, who)
    check_annotations_teach(model, spec, who)
    check_capabilities(model, spec, batch, who)
    check_predictions(model, batch, who)
    check_reads_no_labels(model, batch, who)
    check_rerun_is_identical(model, batch, who)
    check_company_changes_nothing(model, batch, who)
    if not spec.device_exceptions:
        check_runs_on_meta(model, batch, who)
    exceptions = (*without_gradient, *getattr(model, "unused_parameters", ()))
    if spec.learns == "epochs":
        check_gradients(model, batch, exceptions, who)
    else:
        check_learns_without_gradient(model, batch, who)
    if not spec.reads_features:
        check_reads_no_features(model, batch, who)
    check_weights_survive(model, lambda: spec.build(chosen, dims), batch, who)


def sample_batch(dims: Dims) -> Batch:
    """Four samples: one with two moments, one with none, one of a single clip; every third clip lacks features."""
    batch = make_batch([11, 7, 9, 1], width=dims.video, text_width=dims.text, query_lengths=[5, 3, 6, 1])
    assert batch.moments is not None
    two = torch.cat([batch.moments[0], torch.tensor([[8.0, 13.0]])])
    fine = batch.fine_weight * (torch.arange(11) % 3 != 1)
    return replace(batch, moments=(two, batch.moments[1], torch.zeros(0, 2), batch.moments[3]), fine_weight=fine)


def sample_annotations() -> list[Annotation]:
    """Five queries of three videos, one of them with two moments."""
    moments = [((10.0, 30.0),), ((12.0, 30.0),), ((20.0, 60.0), (70.0, 80.0)), ((0.0, 5.0),), ((5.0, 15.0),)]
    return [
        Annotation(sample_id=f"a{place}", video_id=f"v{place // 2}", sentence="a query", duration=100.0, moments=found)
        for place, found in enumerate(moments)
    ]


def check_training(spec: BackboneSpec, who: str) -> None:
    """Training settings belong to presets, and are settings that the engine has."""
    for preset, values in spec.training.items():
        _expect(preset in spec.presets, f"{who}: training settings of {preset!r}{did_you_mean(preset, spec.presets)}")
        try:
            fill_dataclass(TrainConfig, values, under(f"training[{preset!r}]"))
        except ConfigError as error:
            raise PluginError(f"{who}: {error}") from error


def check_annotations_teach(model: nn.Module, spec: BackboneSpec, who: str) -> None:
    """A backbone that learns from annotations does, and leaves what it learned in its state; it stays so afterwards."""
    if spec.learns != "annotations":
        return
    lacks = f"{who}: learns from annotations but lacks fit_annotations; see vmrbench.protocols.LearnsFromAnnotations"
    _expect(isinstance(model, LearnsFromAnnotations), lacks)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    cast(LearnsFromAnnotations, model).fit_annotations(sample_annotations())
    after = model.state_dict()
    same_shapes = {n: v.shape for n, v in before.items()} == {n: v.shape for n, v in after.items()}
    _expect(same_shapes, f"{who}: fit_annotations changed the shapes of its state; weights could not be read again")
    changed = any(not torch.equal(value, after[name]) for name, value in before.items())
    _expect(changed, f"{who}: fit_annotations left the state as it was; keep what is learned in buffers")


def check_learns_without_gradient(model: nn.Module, batch: Batch, who: str) -> None:
    """A backbone that no epoch teaches has no parameters and no loss."""
    parameters = [name for name, value in model.named_parameters() if value.requires_grad]
    _expect(not parameters, f"{who}: learns in no epoch, but {parameters[:1]} ask for a gradient; make them buffers")
    terms = cast(Backbone, model).loss(model(batch), batch)
    _expect(not terms, f"{who}: learns in no epoch, but gives the loss terms {list(terms)}; expected none")


def check_reads_no_features(model: nn.Module, batch: Batch, who: str) -> None:
    """The same predictions from zeros and a query of one token as from features."""
    difference = moments_apart(predict_moments(model, batch), predict_moments(model, withhold_features(batch)))
    _expect(
        difference == 0, f"{who}: predictions change by {difference:.2g} without features; reads_features must be True"
    )


def check_capabilities(model: nn.Module, spec: BackboneSpec, batch: Batch, who: str) -> None:
    """The module has its methods, and what a declared capability gives has the promised shape."""
    _expect(isinstance(model, Backbone), f"{who}: lacks forward, loss or predict; see vmrbench.protocols.Backbone")
    _expect(
        spec.capabilities <= {"encode", "distill"},
        f"{who}: capabilities {set(spec.capabilities)}; known: encode, distill",
    )
    size = tuple(batch.clip_mask.shape)
    with torch.no_grad():
        if "encode" in spec.capabilities:
            _expect(
                isinstance(model, SharesEncoder),
                f"{who}: declares 'encode' but lacks encode_query, encode or embedding_width",
            )
            borrowed = cast(SharesEncoder, model)
            query = _query_alone(borrowed, batch, who)
            found, expected = tuple(borrowed.encode(batch, query).shape), (*size, borrowed.embedding_width)
            _expect(found == expected, f"{who}: encode gave {found}, expected [B, L, embedding_width] = {expected}")
        if "distill" in spec.capabilities:
            _expect(isinstance(model, Distillable), f"{who}: declares 'distill' but lacks distill_targets")
            _check_targets(cast(Distillable, model).distill_targets(model(batch), batch), size, who)


def _query_alone(lender: SharesEncoder, batch: Batch, who: str) -> Any:
    try:
        return lender.encode_query(withhold_clips(batch))
    except (RuntimeError, IndexError) as error:
        raise PluginError(f"{who}: encode_query must read nothing of the video, and fails without clips") from error


def check_predictions(model: nn.Module, batch: Batch, who: str) -> None:
    """Spans lie on the clip axis, starts come before ends, scores are numbers, and no sample is without a moment."""
    moments = predict_moments(model, batch)
    count = batch.lengths[:, None]
    _expect(
        moments.spans.shape == (*moments.scores.shape, 2), f"{who}: predict gave spans {tuple(moments.spans.shape)}"
    )
    start, end = moments.spans.unbind(-1)
    inside = (start >= 0) & (end <= count + TOLERANCE) & (start <= end) & (moments.scores.isfinite())
    empty = moments.scores == -torch.inf
    _expect(bool((inside | empty).all()), f"{who}: a span is reversed, off the clip axis, or has no finite score")
    _expect(bool((~empty).any(1).all()), f"{who}: a sample has no moment; every slot has the score -inf")


def check_reads_no_labels(model: nn.Module, batch: Batch, who: str) -> None:
    """The same predictions without labels."""
    difference = moments_apart(predict_moments(model, batch), predict_moments(model, without_labels(batch)))
    _expect(
        difference == 0, f"{who}: predictions change by {difference:.2g} without labels; forward must not read them"
    )


def check_rerun_is_identical(model: nn.Module, batch: Batch, who: str) -> None:
    """Two runs give the same bits."""
    difference = moments_apart(predict_moments(model, batch), predict_moments(model, batch))
    _expect(difference == 0, f"{who}: two runs in eval mode differ by {difference:.2g}, expected no difference")


def check_company_changes_nothing(model: nn.Module, batch: Batch, who: str) -> None:
    """A sample gets the same moments whatever its neighbours, its place and its padding."""
    rows = range(len(batch.sample_ids))
    padded = changed_by_company(model, batch, rows, clips=4, tokens=3)
    _expect(padded < TOLERANCE, f"{who}: predictions change by {padded:.2g} with padding; mask padded clips and tokens")
    moved = changed_by_company(model, batch, rows[::-1])
    _expect(moved < TOLERANCE, f"{who}: predictions change by {moved:.2g} with the order of the batch")
    for row in rows:
        changed = changed_by_company(model, batch, [row])
        _expect(changed < TOLERANCE, f"{who}: predictions of a sample change by {changed:.2g} with its neighbours")


def check_runs_on_meta(model: nn.Module, batch: Batch, who: str) -> None:
    """Inference makes no tensor on another device and looks at no value on the host."""
    elsewhere, there = copy.deepcopy(model).to("meta"), without_labels(batch).to("meta")
    try:
        with torch.no_grad():
            outputs = elsewhere(there)
            cast(Backbone, elsewhere).predict(outputs, there)
            if isinstance(elsewhere, SharesEncoder):
                elsewhere.encode(there, elsewhere.encode_query(there))
            if isinstance(elsewhere, Distillable):
                elsewhere.distill_targets(outputs, there)
    except (RuntimeError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise PluginError(f"{who}: inference leaves its device or looks at values on the host: {reason}") from error


def check_gradients(model: nn.Module, batch: Batch, exceptions: Sequence[str], who: str) -> None:
    """Losses are finite, also without moments, and finite gradients reach every parameter."""
    assert batch.moments is not None
    model.zero_grad(set_to_none=True)
    for labelled in (replace(batch, moments=tuple(m[:0] for m in batch.moments)), batch):
        terms = cast(Backbone, model).loss(model(labelled), labelled)
        wrong = [name for name, term in terms.items() if term.dim() or not bool(term.isfinite())]
        _expect(not wrong, f"{who}: loss terms {wrong} are not finite numbers")
        torch.autograd.backward([torch.stack(list(terms.values())).sum()])
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not name.startswith(tuple(exceptions)):
            _expect(parameter.grad is not None, f"{who}: no gradient reaches {name!r}; name it in unused_parameters")
            finite = parameter.grad is not None and bool(parameter.grad.isfinite().all())
            _expect(finite, f"{who}: the gradient of {name!r} is not finite")
    model.zero_grad(set_to_none=True)


def check_weights_survive(model: nn.Module, rebuild: Callable[[], nn.Module], batch: Batch, who: str) -> None:
    """Weights written and read as safetensors give the same predictions in a model built anew."""
    written = save({name: value.contiguous() for name, value in model.state_dict().items()})
    torch.manual_seed(1)
    again = rebuild().eval()
    again.load_state_dict(load(written))
    difference = moments_apart(predict_moments(model, batch), predict_moments(again, batch))
    _expect(difference == 0, f"{who}: predictions change by {difference:.2g} when weights are written and read again")


def _check_targets(targets: DistillTargets, size: tuple[int, ...], who: str) -> None:
    shapes: Mapping[str, Tensor | None] = {"embedding": targets.embedding, "saliency": targets.saliency}
    for name, value in shapes.items():
        if value is not None:
            _expect(
                tuple(value.shape[:2]) == size,
                f"{who}: distill {name} is {tuple(value.shape)}, expected [B, L] = {size} first",
            )
    if targets.candidates is not None and targets.candidate_mask is not None:
        fits = targets.candidate_mask.shape[-1] == targets.candidates.shape[-1]
        _expect(fits, f"{who}: distill candidate_mask does not fit its candidates")


def _expect(kept: bool, message: str) -> None:
    if not kept:
        raise PluginError(message)
