"""Pages about models: HTML files that need nothing from elsewhere.

``model.report(x, y, path)``, the command ``rnnfast report`` and the demo write them with the same template.
"""

from rnnfast.report.writing import write as write
