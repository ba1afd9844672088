library(lme4)
sleep <- read.csv("sleepstudy.csv", stringsAsFactors = TRUE)
part <- lmer(Reaction ~ Days + (Days | Subject), sleep, subset = Days > 1)
part
confint(part, method = "Wald")
sleep$g <- factor(rep(1:6, length.out = nrow(sleep)))
head(sleep)
singular <- lmer(Reaction ~ Days + (Days | Subject) + (1 | g), sleep)
print(VarCorr(singular), comp = c("Variance", "Std.Dev."), digits = 6)
ranef(singular)$Subject[1:3, ]
