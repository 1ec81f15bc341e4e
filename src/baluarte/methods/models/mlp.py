"""Multi-layer perceptron on standardised numbers, ramps and flags."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import Draft
from baluarte.core.program.draft_dense import DraftNetwork, Layer, background_of
from baluarte.core.program.model import Inputs
from baluarte.core.search import FitTask
from baluarte.errors import ContractError
from baluarte.methods.dense_inputs import design, inputs_of, spread
from baluarte.methods.libraries import library
from baluarte.methods.sklearn_fitted import row_weights
from baluarte.ports import Fitted, Matrix, Params, Suggest, Target

_MAX_ROWS = 100_000  #: so many a pass; more take longer than they give
_BATCH = 200


class Mlp:
    """Rectified layers under a logistic one; the margin is the log-odds before the last."""

    name: ClassVar[str] = "mlp"
    needs_labels: ClassVar[bool] = True

    def defaults(self) -> Params:
        """Two layers of 32 units, thirty passes."""
        return {"units": 32, "layers": 2, "alpha": 1e-3, "rate": 2e-3, "passes": 30, "ramps": 6}

    def suggest(self, suggest: Suggest) -> Params:
        """Size, penalty, rate, passes and ramps."""
        return {
            "units": suggest.integer("units", 8, 128, log=True),
            "layers": suggest.integer("layers", 1, 3),
            "alpha": suggest.number("alpha", 1e-6, 1.0, log=True),
            "rate": suggest.number("rate", 3e-4, 1e-2, log=True),
            "passes": suggest.integer("passes", 5, 60),
            "ramps": suggest.integer("ramps", 0, 12),
        }

    def fit(self, X: Matrix, y: Target, *, params: Params, task: FitTask) -> Fitted:
        """Fit the columns' stored treatment, then the weights; ``y`` has both classes.

        Raises:
            ContractError: a monotone column was asked for, which this fit can't promise.
        """
        if any(task.monotone):
            raise ContractError(
                "mlp can't promise a monotone column",
                hint="Use lightgbm or random_forest where a field must be monotone.",
            )
        rows = spread(len(X), _MAX_ROWS)
        target = y[rows]
        inputs = inputs_of(X[rows], task.categorical, ramps=int(params["ramps"]))
        model = library("sklearn.neural_network").MLPClassifier(
            hidden_layer_sizes=(int(params["units"]),) * int(params["layers"]),
            alpha=float(params["alpha"]),
            learning_rate_init=float(params["rate"]),
            batch_size=min(_BATCH, len(rows)),
            max_iter=int(params["passes"]),
            random_state=task.seed,
        )
        # One thread: a matrix product's bits may depend on how many there are.
        limits = library("threadpoolctl").threadpool_limits(1)
        with limits, warnings.catch_warnings():
            # Stopping at the passes' end is part of the model, the same every time.
            warnings.simplefilter("ignore", library("sklearn.exceptions").ConvergenceWarning)
            model.fit(design(inputs, X[rows]), target, sample_weight=row_weights(target, task))
        return FittedMlp(
            model=model,
            inputs=inputs,
            background=background_of(X[rows]),
            sample=rows if len(rows) < len(X) else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedMlp:
    """A perceptron, what it sees of a row, and background rows for its reasons."""

    model: Any
    inputs: Inputs
    background: NDArray[np.float64]
    sample: NDArray[np.int64] | None = None  #: (m,) the rows it was fitted on; None for all

    def margin(self, X: Matrix) -> NDArray[np.float64]:
        """(n,) log-odds: the library's forward pass, without its last function."""
        before = copy.copy(self.model)
        before.out_activation_ = "identity"
        passed = before._forward_pass_fast(design(self.inputs, X), check_input=False)  # noqa: SLF001 - the only way to the log-odds
        return np.asarray(passed, dtype=np.float64).ravel()

    def compile(self) -> Draft:
        """The layers as they are."""
        weights = [np.asarray(weight, dtype=np.float64) for weight in self.model.coefs_]
        biases = [np.asarray(bias, dtype=np.float64) for bias in self.model.intercepts_]
        weights[0] = weights[0][: self.inputs.n_inputs]
        last = len(weights) - 1
        layers = tuple(
            Layer(weight=weight, bias=bias, activation="relu" if at < last else "identity")
            for at, (weight, bias) in enumerate(zip(weights, biases, strict=True))
        )
        part = DraftNetwork(inputs=self.inputs, layers=layers, background=self.background)
        return Draft(n_features=self.background.shape[1], base=0.0, parts=(part,))
