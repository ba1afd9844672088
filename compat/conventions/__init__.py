"""The known reasons for which two right numbers differ: each with a name, a closed form and who uses it.

closed_forms.py turns one definition's number into another's, neighbours.py fits the model by another common choice.
What rounds a number twice on its way to paper is R's printing, in compat.published.rendering.
"""

from compat.conventions.closed_forms import CLOSED_FORMS, ClosedForm, NotKnown, forms_of
from compat.conventions.neighbours import Neighbour, neighbours

__all__ = ["CLOSED_FORMS", "ClosedForm", "Neighbour", "NotKnown", "forms_of", "neighbours"]
