# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.documentation`: write the generated pages anew."""

from tests.documentation import commands, settings

for page, text in ((commands.PAGE, commands.reference()), (settings.PAGE, settings.filled(settings.PAGE.read_text()))):
    page.write_text(text)
    print(page)
