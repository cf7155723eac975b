"""What a network does: Jacobians of its steps, fixed points, and which inputs its outputs depend on.

Everything is computed in float64 by the engine's exact backward passes, whatever dtype the network has, on copies:
parameters, gradients and random numbers of the network stay as they are.
"""

from rnnfast.analysis.attribution import IntegratedGradients as IntegratedGradients
from rnnfast.analysis.attribution import integrated_gradients as integrated_gradients
from rnnfast.analysis.attribution import saliency as saliency
from rnnfast.analysis.fixed_points import FixedPoints as FixedPoints
from rnnfast.analysis.fixed_points import fixed_points as fixed_points
from rnnfast.analysis.steps import jacobian as jacobian
