"""Support vector machine with a polynomial kernel, on standardised numbers, ramps and flags."""

from __future__ import annotations

from typing import ClassVar

from baluarte.core.search import FitTask
from baluarte.methods.kernel_svm import MAX_ROWS, FittedKernelSvm, KernelForm, fit_kernel_svm
from baluarte.ports import Matrix, Params, Suggest, Target


class SvmPoly:
    """C-support vector classification, the margin its decision function."""

    name: ClassVar[str] = "svm_poly"
    needs_labels: ClassVar[bool] = True

    def defaults(self) -> Params:
        """Degree two: every column beside every other."""
        return {"c": 1.0, "gamma": 1.0, "degree": 2, "coef0": 1.0, "ramps": 4, "rows": MAX_ROWS}

    def suggest(self, suggest: Suggest) -> Params:
        """The inverse penalty, the kernel's numbers, the ramps and the rows of the sample."""
        return {
            "c": suggest.number("c", 0.01, 10.0, log=True),
            "gamma": suggest.number("gamma", 0.1, 4.0, log=True),
            "degree": suggest.integer("degree", 2, 4),
            "coef0": suggest.number("coef0", 0.0, 2.0),
            "ramps": suggest.integer("ramps", 0, 8),
            "rows": suggest.integer("rows", MAX_ROWS // 10, MAX_ROWS, log=True),
        }

    def fit(self, X: Matrix, y: Target, *, params: Params, task: FitTask) -> FittedKernelSvm:
        """Fit on a sample of at most ``rows`` rows; ``y`` has both classes.

        Raises:
            ContractError: a monotone column was asked for, which this fit can't promise.
        """
        form = KernelForm(
            kernel="polynomial",
            gamma=float(params["gamma"]),
            degree=int(params["degree"]),
            coef0=float(params["coef0"]),
        )
        return fit_kernel_svm(
            X,
            y,
            name=self.name,
            form=form,
            c=float(params["c"]),
            ramps=int(params["ramps"]),
            max_rows=int(params["rows"]),
            task=task,
        )
