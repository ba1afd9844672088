# The lecture's model, with mixed.R's task.
source(file.path(here, "mixed.R"))

tasks <- lmer_task(y ~ GDPLagK + GDPGrowthLag + OPENLag + POLITYLag + POLITYSQLag + CivilWarDummy + InterstateWarLag +
                     BatDeaths1000Lag + (GDPLagK | ISO3))
