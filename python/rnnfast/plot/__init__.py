"""Pictures with matplotlib: of trainings, states and gates, gradients, attention, forecasts and dynamics.

Every function draws into the axes ``ax`` and returns them; without ``ax`` it makes a figure of its own, which is
``axes.figure`` (``axes.figure.savefig("picture.png")``). Neither pyplot nor rcParams are touched. Colours differ in
lightness, and lines in dashes and markers too: pictures can be read in grey, and by colour-blind readers.
"""

from rnnfast.plot.curves import forecast as forecast
from rnnfast.plot.curves import gradient_norms as gradient_norms
from rnnfast.plot.curves import learning_curves as learning_curves
from rnnfast.plot.curves import predicted_against_true as predicted_against_true
from rnnfast.plot.maps import attention as attention
from rnnfast.plot.maps import confusion_matrix as confusion_matrix
from rnnfast.plot.maps import gates as gates
from rnnfast.plot.maps import heat_map as heat_map
from rnnfast.plot.maps import hidden_states as hidden_states
from rnnfast.plot.maps import saliency as saliency
from rnnfast.plot.portraits import phase_portrait as phase_portrait
