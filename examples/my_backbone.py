"""A backbone in one file: the video becomes a few cells, and every cell votes for one moment around itself."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vmrbench import hookimpl
from vmrbench.parts.grid import cells_to_rows, frame_membership, mean_weights
from vmrbench.parts.overlap_loss import best_overlap, rescaled_overlap_loss
from vmrbench.specs import BackboneSpec, Dims
from vmrbench.trim.axis import axis_to_seconds
from vmrbench.types import AxisMoments, Batch


@dataclass(frozen=True, kw_only=True)
class Options:
    cells: int = 32  # places of the grid, whatever the length of the video
    hidden: int = 64  # width of the model


class Votes(nn.Module):
    def __init__(self, options: Options, dims: Dims) -> None:
        super().__init__()
        self.cells, self.embedding_width = options.cells, options.hidden
        self.clips, self.words = nn.Linear(dims.video, options.hidden), nn.Linear(dims.text, options.hidden, False)
        layers = [nn.Conv1d(options.hidden, options.hidden, 5, padding=2) for _ in range(3)]
        self.mix = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2], nn.ReLU())
        self.vote = nn.Conv1d(options.hidden, 3, 1)

    def fuse(self, batch: Batch, query: Tensor) -> Tensor:  # [B, hidden, cells]: clips pooled to cells, times the query
        weights, _ = mean_weights(frame_membership(batch.clip_mask, self.cells), batch.fine_weight)  # [B, cells, L]
        return self.mix((weights @ self.clips(batch.clips) * query).transpose(1, 2))

    def encode_query(self, batch: Batch) -> Tensor:  # [B, 1, hidden]: the mean of the words
        return self.words(batch.query).sum(1, keepdim=True) / batch.query_mask.sum(1)[:, None, None]

    def encode(self, batch: Batch, query: Tensor) -> Tensor:  # [B, clips, hidden]: what SpotVMR borrows
        return cells_to_rows(batch.clip_mask, self.cells) @ self.fuse(batch, query).transpose(1, 2)

    def forward(self, batch: Batch) -> Tensor:  # [B, 3, cells]: how sure a vote is, how far it reaches left and right
        return self.vote(self.fuse(batch, self.encode_query(batch)))

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        overlap = best_overlap(axis_to_seconds(self.predict(outputs, batch).spans, batch), batch.moments)
        reach = ((1 - overlap) * (overlap > 0)).sum() / (overlap > 0).sum().clamp(min=1)
        return {"sure": rescaled_overlap_loss(outputs[:, 0], overlap.detach(), 0.0, 1.0), "reach": reach}

    def predict(self, outputs: Tensor, batch: Batch) -> AxisMoments:
        reach = nn.functional.softplus(outputs[:, 1:]) * torch.tensor([[-1.0], [1.0]], device=outputs.device)
        ends = (torch.arange(self.cells, device=outputs.device) + 0.5 + reach).clamp(0, self.cells) / self.cells
        return AxisMoments(spans=ends.mT * batch.lengths[:, None, None], scores=outputs[:, 0].sigmoid())


@hookimpl
def vmr_backbones():
    able = frozenset({"encode"})
    yield BackboneSpec(
        name="my_backbone", summary="votes", source="ours", options=Options, build=Votes, capabilities=able, axis="grid"
    )
