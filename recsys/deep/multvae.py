"""Mult-VAE: an autoencoder of histories with a multinomial likelihood.

D. Liang, R. G. Krishnan, M. D. Hoffman and T. Jebara, "Variational autoencoders for collaborative filtering", WWW 2018:
one hidden layer on either side, tanh, dropout of the input, and a weight of the Kullback-Leibler term that rises from
0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from recsys.collaborative.factors import check_positive
from recsys.data import Csr, Interactions
from recsys.deep.answering import centred, cosines, unit_rows
from recsys.deep.training import (
    HELP,
    TrainingConfig,
    Validation,
    at_least,
    below_one,
    hold_out,
    session,
    to_numpy,
    train,
)
from recsys.histories import WEIGHTING_HELP, Parts, Weighting, check_weighting, training_parts
from recsys.model import Recommender
from recsys.packing import read_array
from shared.lazy import require
from shared.types import AnyArray, Float32, Int32, Int64


@dataclass(frozen=True, kw_only=True)
class MultVaeConfig(TrainingConfig):
    """Options of :func:`fit_multvae`, and those of :class:`~recsys.deep.training.TrainingConfig`.

    Attributes:
        factors: length of the latent vector, at least 1; 200 in the paper.
        hidden: width of the hidden layers, at least 1; 600 in the paper.
        dropout: share of a history that is hidden from the network in each step, in [0, 1).
        kl_weight: weight that the Kullback-Leibler term reaches (beta), at least 0; 0.2 in the paper.
        anneal: epochs over which it rises there from 0, at least 0.
        weighting: ``"binary"`` as in the paper, ``"value"`` or ``"log"`` (of 1 + value), of inputs and targets alike.
    """

    factors: int = field(default=200, metadata={"help": HELP["factors"]})
    hidden: int = field(default=600, metadata={"help": HELP["hidden"]})
    dropout: float = field(default=0.5, metadata={"help": HELP["dropout"]})
    kl_weight: float = field(
        default=0.5, metadata={"help": "weight that the Kullback-Leibler term reaches, at least 0"}
    )
    anneal: int = field(default=20, metadata={"help": "epochs over which that weight rises from 0, at least 0"})
    weighting: Weighting = field(default="log", metadata={"help": WEIGHTING_HELP})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_weighting(self.weighting)
        at_least(self, 1, "factors", "hidden")
        at_least(self, 0, "kl_weight", "anneal")
        below_one(self, "dropout")


@dataclass(frozen=True, eq=False, repr=False)
class MultVae(Recommender):
    """Scores items by the logits of the decoder at the mean of the latent vector.

    Attributes:
        weights: the layers by name, float32. ``encoder.weight`` has shape (items, hidden), the others (output, input):
            ``mean.weight`` (factors, hidden), ``decoder.weight`` (hidden, factors), ``output.weight`` (items, hidden);
            each has a ``.bias`` of shape (output,).
    """

    family: ClassVar[str] = "multvae"
    config: MultVaeConfig
    weights: Mapping[str, Float32]

    def score_histories(self, histories: Csr) -> Float32:
        """See :meth:`recsys.model.Recommender.score_histories`; section 2.4 of the paper: no sampling, no dropout."""
        of = self.weights
        hidden = np.tanh(unit_rows(histories) @ of["encoder.weight"] + of["encoder.bias"])
        latent = hidden @ of["mean.weight"].T + of["mean.bias"]
        hidden = np.tanh(latent @ of["decoder.weight"].T + of["decoder.bias"])
        scores: Float32 = hidden @ of["output.weight"].T
        scores += of["output.bias"]
        return scores

    def item_similarities(self, items: Int32) -> Float32:
        """See :meth:`recsys.model.Recommender.item_similarities`: the cosine of centred rows of the last layer."""
        return cosines(centred(self.weights["output.weight"]), items)

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        return self.weights

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> MultVae:
        """See :meth:`recsys.model.Recommender.restore`."""
        options = MultVaeConfig(**config)
        shapes = _shapes(len(parts[1]), options)
        return cls(options, *parts, {name: read_array(name, arrays, shape) for name, shape in shapes.items()})


def fit_multvae(
    interactions: Interactions,
    config: MultVaeConfig | None = None,
    *,
    device: str = "auto",
    threads: int | None = None,
    rng: np.random.Generator | None = None,
) -> MultVae:
    """Maximise the evidence bound sum_i x_ui ln p_i(z_u) - beta KL(q(z_u | x_u) || N(0, I)), equations 6 and 7.

    Memory beside the weights (and three times as much while training) is batch_size times items.

    Args:
        interactions: what happened.
        config: options; ``None`` takes the defaults.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``, where it is trained.
        threads: of the processor; ``None`` takes one up to 4096 items, beyond as many as the linear algebra may use.
        rng: draws weights, batches, dropout and noise; ``None`` stands for ``default_rng(0)``.

    Raises:
        DataError: there are no interactions, one counts against an item, or the loss is no longer a number.
        MissingDependencyError: torch is not installed.
        UsageError: there is no such device, or ``threads`` is below 1.
    """
    config, rng = config or MultVaeConfig(), rng or np.random.default_rng(0)
    users, items, histories = training_parts(interactions, config.weighting)
    check_positive(histories, "multvae")
    validation = hold_out(histories, config.val_share, rng)
    learnt = histories if validation is None else validation.learnt
    with session(rng, items=len(items), device=device, threads=threads) as place:
        torch = require("torch", extra="torch")
        network = make_network(len(items), config).to(place)

        def loss(rows: Int64, gone: float) -> Any:
            given = torch.from_numpy(learnt[rows].toarray()).to(place)
            risen = min(1.0, gone / config.anneal) if config.anneal else 1.0
            return loss_of(network, given, config, config.kl_weight * risen)

        def answer(asked: Validation) -> Float32:
            return to_numpy(logits(network, torch.from_numpy(asked.learnt[asked.people].toarray()).to(place)))

        train(network, loss, rows=len(users), config=config, rng=rng, validation=validation, answer=answer)
        found = {name: to_numpy(tensor) for name, tensor in network.state_dict().items() if "spread" not in name}
    found["encoder.weight"] = np.ascontiguousarray(found["encoder.weight"].T)  # rows of items: sparse products are fast
    return MultVae(config, users, items, histories, found)


def make_network(items: int, config: MultVaeConfig) -> Any:
    """The network as a torch module of linear layers, its weights drawn from torch's generator.

    As in the paper's own code: Glorot's normal distribution, and biases near 0.
    """
    nn = require("torch.nn", extra="torch")
    network = nn.ModuleDict(
        {
            "encoder": nn.Linear(items, config.hidden),
            "mean": nn.Linear(config.hidden, config.factors),
            "spread": nn.Linear(config.hidden, config.factors),
            "decoder": nn.Linear(config.factors, config.hidden),
            "output": nn.Linear(config.hidden, items),
        }
    )
    for layer in network.values():
        nn.init.xavier_normal_(layer.weight)
        nn.init.normal_(layer.bias, std=0.001)
    return network


def logits(network: Any, histories: Any) -> Any:
    """What the network says of all items at the mean of the latent vector; both shapes are (n, items)."""
    functional = require("torch.nn.functional", extra="torch")
    hidden = network["encoder"](functional.normalize(histories)).tanh()
    return network["output"](network["decoder"](network["mean"](hidden)).tanh())


def loss_of(network: Any, histories: Any, config: MultVaeConfig, kl_weight: float) -> Any:
    """The mean over people of the negative bound, with one draw of the latent vector for each."""
    torch = require("torch", extra="torch")
    functional = torch.nn.functional
    hidden = network["encoder"](functional.dropout(functional.normalize(histories), config.dropout)).tanh()
    mean, log_variance = network["mean"](hidden), network["spread"](hidden)
    latent = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
    said = network["output"](network["decoder"](latent).tanh()).log_softmax(1)
    divergence = 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).sum(1)
    return (kl_weight * divergence - (histories * said).sum(1)).mean()


def _shapes(items: int, config: MultVaeConfig) -> dict[str, tuple[int, ...]]:
    hidden, factors = config.hidden, config.factors
    return {
        "encoder.weight": (items, hidden),
        "encoder.bias": (hidden,),
        "mean.weight": (factors, hidden),
        "mean.bias": (factors,),
        "decoder.weight": (hidden, factors),
        "decoder.bias": (hidden,),
        "output.weight": (items, hidden),
        "output.bias": (items,),
    }
