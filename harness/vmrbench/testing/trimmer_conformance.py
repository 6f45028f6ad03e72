"""What every trimmer must keep to; run it through `vmrbench.testing.conformance.check_trimmer`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from vmrbench.errors import PluginError
from vmrbench.protocols import AdaptsBudget, Trimmer
from vmrbench.specs import TrimDims, TrimmerSpec
from vmrbench.testing.batch_edits import pad_batch, take_samples, without_labels
from vmrbench.testing.factories import make_batch
from vmrbench.trim.access import CountingAccess, withhold_clips
from vmrbench.trim.adaptive import clips_kept, demand, real_rows
from vmrbench.trim.fill import ConcatZero, FineOnly
from vmrbench.trim.ratio import set_ratio
from vmrbench.types import Batch, DistillTargets, TrimDecision

AccessTo = Callable[[Batch, bool], CountingAccess]


def check_trimmer(spec: TrimmerSpec, dims: TrimDims, options: Any = None) -> None:
    """Run every check on a trimmer.

    Args:
        spec: what the plug-in offers.
        dims: widths to build it for; `rows` must exceed `index` for a trimmer of input `fill`, and `fine` follows.
        options: an options object; default is `spec.options()`.

    Raises:
        PluginError: the first check that fails.
    """
    fine_width = dims.rows - (dims.index if spec.input == "fill" else 0)
    dims = replace(dims, fine=fine_width)
    options = spec.options() if options is None else options
    model = _built(spec, options, dims)
    who = f"trimmer {spec.name!r}"
    _expect(isinstance(model, Trimmer), f"{who}: lacks select or loss; see vmrbench.protocols.Trimmer")
    batch = make_batch(
        [12, 7, 9, 1], width=fine_width, index_width=dims.index, text_width=dims.text, query_lengths=[5, 3, 6, 1]
    )
    if not spec.reads_labels:
        check_select_reads_no_labels(model, batch, _access(spec, dims), who)
    check_decision(_select(model, batch, _access(spec, dims)), batch, who)
    check_company_changes_nothing(model, batch, _access(spec, dims), who)
    check_runs_on_meta(model, batch, _access(spec, dims), who)
    check_training(model, spec, batch, _access(spec, dims), who)
    check_ratio_is_read_anew(spec, options, dims, batch, _access(spec, dims))
    if spec.tied_to_share(options) is None:
        check_budget_follows_scores(model, batch, _access(spec, dims), who)


def check_decision(decision: TrimDecision, batch: Batch, who: str) -> None:
    """Shapes are as promised, padding is never kept, and `soft` has the value of `keep`."""
    size = tuple(batch.clip_mask.shape)
    _expect(decision.keep.dtype == torch.bool, f"{who}: keep is {decision.keep.dtype}, expected torch.bool")
    _expect(
        tuple(decision.keep.shape) == size, f"{who}: keep is {tuple(decision.keep.shape)}, expected [B, L] = {size}"
    )
    _expect(not bool((decision.keep & ~batch.clip_mask).any()), f"{who}: keeps padding; & with batch.clip_mask")
    count = int(decision.keep.sum(1).max())
    _expect(decision.most is None or count <= decision.most, f"{who}: keeps {count} clips, more than most says")
    if decision.soft is not None:
        same = bool(((decision.soft > 0.5) == decision.keep).all()) and bool(
            (decision.soft * (1 - decision.soft) == 0).all()
        )
        _expect(same, f"{who}: soft differs from keep in value; expected 0 and 1 at the same clips")
    for name, value in (("steps", decision.steps), ("logits", decision.logits)):
        if value is not None:
            fits = value.dim() == 3 and (value.shape[0], value.shape[2]) == size
            _expect(fits, f"{who}: {name} is {tuple(value.shape)}, expected [B, N, L] with B, L = {size}")
    if decision.scores is not None:
        found = tuple(decision.scores.shape)
        _expect(found == size, f"{who}: scores is {found}, expected [B, L] = {size}")


def check_select_reads_no_labels(model: nn.Module, batch: Batch, access: AccessTo, who: str) -> None:
    """The same clips without labels, and the same in a second run."""
    kept = _select(model, batch, access).keep
    _expect(kept.equal(_select(model, batch, access).keep), f"{who}: two runs in eval mode keep different clips")
    blind = _select(model, without_labels(batch), access).keep
    _expect(kept.equal(blind), f"{who}: keeps other clips without labels; declare reads_labels or do not read them")


def check_company_changes_nothing(model: nn.Module, batch: Batch, access: AccessTo, who: str) -> None:
    """A sample keeps the same clips whatever its neighbours and its padding."""
    kept = _select(model, batch, access).keep
    padded = _select(model, pad_batch(batch, clips=4, tokens=3), access).keep[:, : kept.shape[1]]
    _expect(kept.equal(padded), f"{who}: keeps other clips with padding; mask padded clips and tokens")
    for row in range(len(kept)):
        alone = _select(model, take_samples(batch, [row]), access).keep[0]
        _expect(alone.equal(kept[row, : len(alone)]), f"{who}: the clips of a sample change with its neighbours")


def check_runs_on_meta(model: nn.Module, batch: Batch, access: AccessTo, who: str) -> None:
    """Selection makes no tensor on another device and looks at no value on the host."""
    try:
        _select(copy.deepcopy(model).to("meta"), batch.to("meta"), access)
    except (RuntimeError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise PluginError(f"{who}: select leaves its device or looks at values on the host: {reason}") from error


def check_training(model: nn.Module, spec: TrimmerSpec, batch: Batch, access: AccessTo, who: str) -> None:
    """In training the loss terms are finite, and where something is learned a gradient reaches every parameter."""
    model.train()
    reach = access(batch, True)
    decision = cast(Trimmer, model).select(withhold_clips(batch), reach)
    check_decision(decision, batch, who)
    student, teacher = (_targets(batch, seed) if spec.uses_teacher else None for seed in (0, 1))
    terms = cast(Trimmer, model).loss(decision, batch, student=student, teacher=teacher)
    wrong = [name for name, term in terms.items() if term.dim() or not bool(term.isfinite())]
    _expect(not wrong, f"{who}: loss terms {wrong} are not finite numbers")
    parameters = dict(model.named_parameters())
    if spec.train == "joint" and parameters:
        through = torch.zeros(()) if decision.soft is None else reach.rows(decision.soft).clips.square().sum()
        torch.autograd.backward([torch.stack([*terms.values(), through]).sum()])
        for name, parameter in parameters.items():
            finite = parameter.grad is not None and bool(parameter.grad.isfinite().all())
            _expect(finite, f"{who}: no finite gradient reaches {name!r}")
    model.zero_grad(set_to_none=True)
    model.eval()


def check_ratio_is_read_anew(spec: TrimmerSpec, options: Any, dims: TrimDims, batch: Batch, access: AccessTo) -> None:
    """A keep ratio that is put into the options of a built module does what it does in those of a new one."""
    if not hasattr(options, "keep_ratio") or spec.tied_to_ratio(options) is not None:
        return
    for ratio in (0.5, 1 / 6):
        changed, new = (_built(spec, given, dims) for given in (options, replace(options, keep_ratio=ratio)))
        set_ratio(changed, ratio)
        _expect(
            _select(changed, batch, access).keep.equal(_select(new, batch, access).keep),
            f"trimmer {spec.name!r}: keep_ratio {ratio:.2g} put into its attribute 'options' does not do what it does "
            "when it is built with it; read the ratio in every select, or declare tied_to_ratio",
        )


def check_budget_follows_scores(model: nn.Module, batch: Batch, access: AccessTo, who: str) -> None:
    """With a threshold as many clips are kept as it says of `demand`, whatever shares the batch; then exact again."""
    exact = _select(model, batch, access)
    _expect(isinstance(model, AdaptsBudget) and exact.demand is not None, f"{who}: lacks threshold, or gives no demand")
    assert isinstance(model, AdaptsBudget)
    assert exact.demand is not None
    asked = real_rows(demand(exact.demand, batch.clip_mask), batch.lengths)
    for threshold in (-0.4, 0.7):
        model.threshold = threshold
        kept = _select(model, batch, access).keep.sum(1).tolist()
        expected = [clips_kept(scores, threshold) for scores in asked]
        _expect(kept == expected, f"{who}: keeps {kept} clips where its demand is {expected}; see allowance")
        check_company_changes_nothing(model, batch, access, who)
    model.threshold = None
    _expect(_select(model, batch, access).keep.equal(exact.keep), f"{who}: does not forget a threshold")


def _built(spec: TrimmerSpec, options: Any, dims: TrimDims) -> nn.Module:
    torch.manual_seed(0)
    return spec.build(options, dims).eval()


@torch.no_grad()
def _select(model: nn.Module, batch: Batch, access: AccessTo) -> TrimDecision:
    return cast(Trimmer, model).select(withhold_clips(batch), access(batch, False))


def _access(spec: TrimmerSpec, dims: TrimDims) -> AccessTo:
    """Access whose previews use a stand-in for the backbone's encoder."""
    fill = FineOnly(dims.rows) if spec.input == "fine" else ConcatZero(dims.rows - dims.index, dims.index)
    lender = None if dims.embedding is None else _Lender(dims.rows, dims.text, dims.embedding)
    return lambda batch, training: CountingAccess(batch, fill, lender, training=training)


class _Lender:
    """A stand-in for the encoder of a backbone: a fixed projection of rows and query."""

    def __init__(self, rows: int, text: int, width: int) -> None:
        generator = torch.Generator().manual_seed(3)
        self.embedding_width = width
        self._of_rows = torch.randn(rows, width, generator=generator)
        self._of_query = torch.randn(text, width, generator=generator)

    def encode_query(self, batch: Batch) -> Tensor:
        return batch.query.sum(1, keepdim=True) @ self._of_query.to(batch.query.device)

    def encode(self, batch: Batch, query: Tensor) -> Tensor:
        return (batch.clips @ self._of_rows.to(batch.clips.device) + query).tanh() * batch.clip_mask[..., None]


def _targets(batch: Batch, seed: int) -> DistillTargets:
    generator = torch.Generator().manual_seed(seed)
    size = batch.clip_mask.shape
    return DistillTargets(
        embedding=torch.randn(*size, 4, generator=generator),
        saliency=torch.randn(*size, generator=generator),
        candidates=torch.randn(size[0], 6, generator=generator),
        candidate_mask=torch.ones(size[0], 6, dtype=torch.bool),
    )


def _expect(kept: bool, message: str) -> None:
    if not kept:
        raise PluginError(message)
