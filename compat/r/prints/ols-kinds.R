suppressMessages(library(rms))
options(width = 70)
air <- read.csv("airquality.csv")
fit <- ols(Ozone ~ Solar.R + Wind + Temp, data = air, x = TRUE, y = TRUE)
fit
robcov(fit)
robcov(fit, method = "efron")
teeth <- read.csv("tooth-growth.csv", stringsAsFactors = TRUE)
ols(len ~ supp * dose, data = teeth)
