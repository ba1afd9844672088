firms <- read.csv("grunfeld.csv")
head(firms)
head(firms, 3)
options(digits = 4, width = 40)
head(firms)
options(digits = 7, width = 80)
firms$share <- firms$capital / firms$value
firms$small <- firms$share / 100000
head(firms[, c("inv", "share", "small")], 10)
tail(firms$share, 3)
