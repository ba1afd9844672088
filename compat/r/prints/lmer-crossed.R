suppressMessages(library(lme4))
firms <- read.csv("grunfeld.csv")
firms$scaled <- firms$value / 1000
two <- lmer(log(inv) ~ scaled + capital + (1 | firm) + (1 | year), data = firms)
summary(two)
apart <- lmer(inv ~ scaled + capital + (1 | firm) + (0 + scaled | firm), data = firms, REML = FALSE)
summary(apart)
breaks <- read.csv("warpbreaks.csv", stringsAsFactors = TRUE)
summary(lmer(breaks ~ tension + (1 | wool), data = breaks))
