# R's tail probabilities and quantiles, as refimpl.distributions is held to them. The grids are defined here.
#   Rscript distributions.R freeze DIR   writes DIR/tails.json
#   Rscript distributions.R live         prints the same tables, without provenance
# Numbers are frozen as %a, so that no bit is lost.

DF <- c(0.5, 1, 2, 3, 4, 5, 7.5, 10, 19, 30, 61, 100, 997, 1598, 1e4, 1e6)
DF1 <- c(1, 2, 3, 5, 20, 150)
DF2 <- c(1, 2, 5, 17, 40, 300, 1e4, 1e6)
P <- c(1e-300, 1e-250, 1e-200, 1e-150, 1e-100, 1e-60, 1e-30, 1e-15, 1e-8, 1e-4, 0.01, 0.05, 0.2, 0.5, 0.8, 0.99)

hex <- function(x) I(sprintf("%a", x))

# Arguments of every size: those with tails near P (as good as a quantile function finds them), and round ones.
points_of <- function(quantile, round) {
  found <- signif(suppressWarnings(quantile), 6)
  sort(unique(c(round, found[is.finite(found)])))
}

two_sided_t <- function(df) {
  x <- points_of(-qt(log(P / 2), df, log.p = TRUE), c(0, 1e-8, 1e-3, 0.1, 1, 2, 5, 10, 37.5, 100, 1e3, 1e6))
  list(df = df, x = hex(x), p = hex(2 * pt(-abs(x), df)))
}

upper_f <- function(df1, df2) {
  x <- points_of(qf(log(P), df1, df2, lower.tail = FALSE, log.p = TRUE), c(0, 1e-10, 1e-3, 0.5, 1, 3, 30, 1e3, 1e6))
  list(df1 = df1, df2 = df2, x = hex(x), p = hex(pf(x, df1, df2, lower.tail = FALSE)))
}

upper_chi2 <- function(df) {
  x <- points_of(qchisq(log(P), df, lower.tail = FALSE, log.p = TRUE), c(0, 1e-10, 1e-3, 0.5, 1, 3, 30, 300, 1300))
  list(df = df, x = hex(x), p = hex(pchisq(x, df, lower.tail = FALSE)))
}

t_quantile <- function(df) {
  p <- c(0.5, 0.55, 0.75, 0.9, 0.95, 0.975, 0.995, 0.9995, 1 - 1e-6, 1 - 1e-9)
  list(df = df, p = hex(p), x = hex(qt(p, df)))
}

tables <- function() {
  grid <- expand.grid(df2 = DF2, df1 = DF1)
  list(two_sided_t = lapply(c(DF, Inf), two_sided_t),
       upper_f = Map(upper_f, grid$df1, grid$df2),
       upper_chi2 = lapply(DF[DF < 1e4], upper_chi2),
       t_quantile = lapply(c(DF[DF >= 1], Inf), t_quantile))
}

provenance <- function(script) list(
  r = R.version.string, platform = R.version$platform, os = utils::sessionInfo()$running,
  locale = Sys.getlocale("LC_COLLATE"), packages = list(jsonlite = as.character(packageVersion("jsonlite"))),
  script = basename(script), script_sha256 = digest::digest(file = script, algo = "sha256"),
  date = format(Sys.Date()))

as_text <- function(content) jsonlite::toJSON(content, auto_unbox = TRUE, digits = NA, pretty = TRUE)

main <- function() {
  script <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1L])
  arguments <- commandArgs(TRUE)
  switch(arguments[1L],
         freeze = writeLines(as_text(c(list(provenance = provenance(script)), tables())),
                             file.path(arguments[2L], "tails.json")),
         live = writeLines(as_text(tables())),
         stop("usage: Rscript distributions.R freeze DIR | live"))
}

main()
