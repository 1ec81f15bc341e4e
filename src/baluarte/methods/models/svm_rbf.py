"""Support vector machine with a radial kernel, on standardised numbers, ramps and flags."""

from __future__ import annotations

from typing import ClassVar

from baluarte.core.search import FitTask
from baluarte.methods.kernel_svm import MAX_ROWS, FittedKernelSvm, KernelForm, fit_kernel_svm
from baluarte.ports import Matrix, Params, Suggest, Target


class SvmRbf:
    """C-support vector classification, the margin its decision function."""

    name: ClassVar[str] = "svm_rbf"
    needs_labels: ClassVar[bool] = True

    def defaults(self) -> Params:
        """The library's own penalty and width, and four ramps a number."""
        return {"c": 1.0, "gamma": 1.0, "ramps": 4, "rows": MAX_ROWS}

    def suggest(self, suggest: Suggest) -> Params:
        """The inverse penalty, the inverse width, the ramps and the rows of the sample."""
        return {
            "c": suggest.number("c", 0.1, 100.0, log=True),
            "gamma": suggest.number("gamma", 0.05, 20.0, log=True),
            "ramps": suggest.integer("ramps", 0, 8),
            "rows": suggest.integer("rows", MAX_ROWS // 10, MAX_ROWS, log=True),
        }

    def fit(self, X: Matrix, y: Target, *, params: Params, task: FitTask) -> FittedKernelSvm:
        """Fit on a sample of at most ``rows`` rows; ``y`` has both classes.

        Raises:
            ContractError: a monotone column was asked for, which this fit can't promise.
        """
        return fit_kernel_svm(
            X,
            y,
            name=self.name,
            form=KernelForm(kernel="rbf", gamma=float(params["gamma"])),
            c=float(params["c"]),
            ramps=int(params["ramps"]),
            max_rows=int(params["rows"]),
            task=task,
        )
