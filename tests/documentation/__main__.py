# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.documentation`: write anew what is written from code: pages, bundled configs, instance types."""

from tests.documentation import commands, sagemaker, settings
from training_src.models.config.pipeline import CONFIGS
from training_src.models.schedules import SCHEDULES, with_schedule

configs = [(CONFIGS / f"{architecture}.config", schedule) for architecture, schedule in SCHEDULES.items()]
for page, text in (
    (sagemaker.LIST, sagemaker.reference()),
    (commands.PAGE, commands.reference()),
    (settings.PAGE, settings.filled(settings.PAGE.read_text())),
    *((config, with_schedule(config.read_text(), schedule)) for config, schedule in configs),
):
    page.write_text(text)
    print(page)
