options(digits = 6, scipen = 12)
firms <- read.csv("grunfeld.csv")
fit <- with(firms, lm(inv ~ value + capital +
                        year))
summary(fit)
options(scipen = -5)
summary(fit)
options(scipen = 0, digits = 3)
fit
summary(fit)
