suppressMessages(library(plm))
firms <- read.csv("grunfeld.csv")
firms <- firms[which(firms$year > 1936 | firms$value > 400), ]
within <- plm(inv ~ value + capital, data = firms, effect = "individual", model = "within",
              index = c("firm", "year"))
summary(within)
summary(plm(inv ~ value + capital, data = firms, model = "random", index = c("firm", "year")))
