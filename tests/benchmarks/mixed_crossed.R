# InstEval's model, with mixed.R's task.
source(file.path(here, "mixed.R"))

tasks <- lmer_task(y ~ service + (1 | s) + (1 | d) + (1 | dept:service))
