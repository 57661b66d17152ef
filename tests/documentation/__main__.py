# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.documentation`: write the generated pages anew, and the list of instance types."""

from tests.documentation import commands, sagemaker, settings

for page, text in (
    (sagemaker.LIST, sagemaker.reference()),
    (commands.PAGE, commands.reference()),
    (settings.PAGE, settings.filled(settings.PAGE.read_text())),
):
    page.write_text(text)
    print(page)
