# R's density(), as refimpl.density is held to it. What is frozen is defined here and nowhere else.
#   Rscript density.R freeze DIR    writes DIR/density.json: data, options and answer of each case
#   Rscript density.R answer FILE   reads cases from FILE (JSON), writes their answers to stdout (JSON)
# Numbers go both ways as %a, so that no bit is lost.

case_of <- function(.name, .x, ...) list(name = .name, x = as.double(.x), options = list(...))

drawn <- function(seed, expression) {
  set.seed(seed, "Mersenne-Twister", "Inversion", "Rejection")
  eval(expression)
}

shapes <- function() {
  normal <- drawn(7222009, quote(rnorm(100)))
  skewed <- drawn(2007, quote(exp(rnorm(300, 5, 0.8))))
  list(
    case_of("normal-100", normal),
    case_of("skewed-300", skewed),
    case_of("two-humps", c(normal - 4, normal * 0.5 + 4)),
    case_of("rounded-with-ties", round(skewed / 50)),
    case_of("quartiles-coincide", c(rep(3, 40), -20, 55)),
    case_of("all-the-same", rep(-2.5, 9)),
    case_of("all-zero", rep(0, 5)),
    case_of("two-points", c(1, 2)),
    case_of("far-from-zero", 1e6 + normal),
    case_of("tiny", normal * 1e-150),
    case_of("one-outlier", c(normal, 1e4)),
    case_of("infinite", c(normal[1:30], Inf, -Inf, Inf)),
    case_of("old-faithful", faithful$eruptions))
}

options_cases <- function() {
  x <- faithful$waiting
  kernels <- c("epanechnikov", "rectangular", "triangular", "biweight", "cosine", "optcosine")
  c(lapply(kernels, function(kernel) case_of(paste0("kernel-", kernel), x, kernel = kernel, n = 100)),
    list(case_of("bw-given", x, bw = 2.25, n = 64),
         case_of("adjusted", x, adjust = 0.4, n = 256),
         case_of("one-point", x, n = 1),
         case_of("few-points", x, n = 57),
         case_of("points-not-a-power-of-two", x, n = 700),
         case_of("points-1024", x, n = 1024),
         case_of("from-to", x, from = 50, to = 70.5, n = 100),
         case_of("from-only", x, from = 80, n = 64),
         case_of("cut-zero", x, cut = 0, n = 100),
         case_of("beside-the-data", x, from = 200, to = 300, n = 32),
         case_of("single-value-bw-given", 5, bw = 1, n = 33)))
}

hex <- function(x) I(sprintf("%a", x))

answer <- function(case) {
  d <- do.call(density, c(list(case$x), case$options))
  ends <- d$x[c(1L, length(d$x))]
  list(name = case$name, bw = hex(d$bw), nobs = length(case$x), ends = hex(ends), y = hex(d$y))
}

frozen <- function(case) {
  options <- lapply(case$options, as_text)
  if (!length(options)) names(options) <- character(0)  # {} in JSON, not []
  c(list(data = hex(case$x), options = options), answer(case))
}
as_text <- function(value) if (is.character(value)) value else sprintf("%a", value)

provenance <- function(script) list(
  r = R.version.string, platform = R.version$platform, os = utils::sessionInfo()$running,
  locale = Sys.getlocale("LC_COLLATE"),
  packages = list(stats = as.character(packageVersion("stats")), digest = as.character(packageVersion("digest")),
                  jsonlite = as.character(packageVersion("jsonlite"))),
  script = basename(script), script_sha256 = digest::digest(file = script, algo = "sha256"),
  date = format(Sys.Date()))

as_json <- function(content) jsonlite::toJSON(content, auto_unbox = TRUE, digits = NA, pretty = TRUE)

freeze <- function(directory, script) {
  content <- list(provenance = provenance(script), cases = lapply(c(shapes(), options_cases()), frozen))
  writeLines(as_json(content), file.path(directory, "density.json"))
}

asked <- function(file) {
  cases <- jsonlite::fromJSON(file, simplifyVector = FALSE)
  cat(as_json(lapply(cases, function(case) {
    options <- lapply(case$options, function(value) if (grepl("^-?0x", value)) as.double(value) else value)
    answer(list(name = case$name, x = as.double(unlist(case$data)), options = options))
  })))
}

main <- function() {
  script <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1L])
  arguments <- commandArgs(TRUE)
  switch(arguments[1L], freeze = freeze(arguments[2L], script), answer = asked(arguments[2L]),
         stop("usage: Rscript density.R freeze DIR | answer FILE"))
}

main()
