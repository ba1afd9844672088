# The lecture's simulations as R repeats them: the same seeds, the same draws, lme4, sandwich and clubSandwich.
#   Rscript lecture.R freeze DIR   writes DIR/lecture.json
#   Rscript lecture.R answer       writes the same content to stdout
# Numbers are frozen at 17 digits. The first replicates of a design stand for all: they come one after the other.

suppressPackageStartupMessages({ library(lme4); library(sandwich); library(clubSandwich) })

REPLICATES <- 20L
tight <- lmerControl(optCtrl = list(ftol_abs = 1e-13, xtol_abs = 1e-11), calc.derivs = FALSE,
                     check.conv.singular = "ignore")
seed <- function(n) set.seed(n, "Mersenne-Twister", "Inversion", "Rejection")
digits <- function(x) I(sprintf("%.17g", x))
named <- function(x) as.list(setNames(sprintf("%.17g", x), names(x)))

# -- the variance between classes by ML and REML ------------------------------------------------------------------

variances <- function(classes, pupils = 10L) {
  seed(7222009 + classes)
  class <- rep(seq_len(classes), each = pupils)
  found <- replicate(REPLICATES, {
    z <- rnorm(classes); b <- rnorm(classes); u <- rnorm(classes * pupils)
    y <- 10 + z[class] + b[class] + 2 * u
    x <- z[class]
    of <- function(REML) {
      fit <- lmer(y ~ x + (1 | class), REML = REML, control = tight)
      unname(getME(fit, "theta")^2 * sigma(fit)^2)
    }
    c(ML = of(FALSE), REML = of(TRUE))
  })
  list(classes = classes, ML = digits(found["ML", ]), REML = digits(found["REML", ]))
}

# -- standard errors with few clusters ------------------------------------------------------------------------------

clusters <- function(G) {
  seed(7222009 + G)
  sizes <- rep_len(c(4L, 8L, 12L, 16L), G)
  g <- rep(seq_len(G), sizes)
  found <- replicate(REPLICATES, {
    shared <- rnorm(G); own <- rnorm(length(g)); v <- rnorm(G); e <- rnorm(length(g))
    x <- sqrt(0.5) * shared[g] + sqrt(0.5) * own
    y <- 1 + x + sqrt(0.3) * v[g] + sqrt(0.7) * e
    fit <- lm(y ~ x)
    cr <- sapply(c("CR0", "CR1S", "CR2", "CR3"), function(type) sqrt(vcovCR(fit, g, type)[2, 2]))
    tested <- coef_test(fit, vcovCR(fit, g, "CR2"), test = "Satterthwaite")
    df <- tested[2, if ("df_Satt" %in% names(tested)) "df_Satt" else "df"]
    c(slope = unname(coef(fit)[2]), HC0 = sqrt(vcovHC(fit, "HC0")[2, 2]), cr, satterthwaite = df)
  })
  c(list(clusters = G), lapply(split(found, rownames(found)[row(found)]), digits))
}

# -- pupils, classes, schools, districts ----------------------------------------------------------------------------

pupils <- function() {
  seed(8012019)
  D <- 10L; S <- 6L; C <- 4L; P <- 12L
  classes <- D * S * C; n <- classes * P
  size <- rnorm(classes); ses <- rnorm(n)
  district <- rnorm(D); school <- rnorm(D * S); of_class <- rnorm(classes); slope <- rnorm(classes); own <- rnorm(n)
  i <- list(district = rep(seq_len(D), each = n / D), school = rep(seq_len(D * S), each = n / (D * S)),
            class = rep(seq_len(classes), each = P))
  z <- size[i$class]
  level <- 50 + -1 * z + 1.5 * district[i$district] + 2 * school[i$school] + of_class[i$class]
  steepness <- 2 + 0.5 * z + 0.8 * slope[i$class]
  data.frame(math = level + steepness * ses + 3 * own, ses = ses, size = z, class = factor(i$class),
             school = factor(i$school), district = factor(i$district))
}

fits <- function(data) list(
  "three levels" = lmer(math ~ ses + size + (1 | class) + (1 | school), data, control = tight),
  "four levels" = lmer(math ~ ses + size + (1 | class) + (1 | school) + (1 | district), data, control = tight),
  "cross-level interaction" = lmer(math ~ ses * size + (1 + ses | class) + (1 | school) + (1 | district), data,
                                   control = tight))

answer_of <- function(fit) {
  v <- as.data.frame(VarCorr(fit))
  v <- v[is.na(v$var2), ]
  label <- ifelse(is.na(v$var1), v$grp, paste(v$grp, v$var1, sep = "."))
  list(criterion = digits(REMLcrit(fit)), coef = named(fixef(fit)), sd = named(setNames(v$sdcor, label)),
       std_error = named(setNames(sqrt(diag(as.matrix(vcov(fit)))), names(fixef(fit)))))
}

schools <- function() {
  data <- pupils()
  models <- fits(data)
  tests <- suppressMessages(anova(models[[1]], models[[2]], models[[3]]))
  list(rows = nrow(data), math = I(sprintf("%a", data$math[c(1, nrow(data))])), fits = lapply(models, answer_of),
       chisq = digits(tests$Chisq[-1]), chi_df = tests$Df[-1], p_value = digits(tests[["Pr(>Chisq)"]][-1]))
}

content <- function() list(variances = lapply(c(6L, 12L, 40L), variances), clusters = lapply(c(5L, 10L, 20L), clusters),
                           schools = schools())

provenance <- function(script) list(
  r = R.version.string, platform = R.version$platform, os = utils::sessionInfo()$running,
  locale = Sys.getlocale("LC_COLLATE"),
  packages = sapply(c("lme4", "Matrix", "sandwich", "clubSandwich", "digest", "jsonlite"),
                    function(p) as.character(packageVersion(p)), simplify = FALSE),
  blas = unname(extSoftVersion()["BLAS"]), lapack = La_version(),
  script = basename(script), script_sha256 = digest::digest(file = script, algo = "sha256"),
  date = format(Sys.Date()))

as_json <- function(x) jsonlite::toJSON(x, auto_unbox = TRUE, digits = NA, pretty = TRUE)

main <- function() {
  script <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1L])
  arguments <- commandArgs(TRUE)
  switch(arguments[1L],
         freeze = writeLines(as_json(c(list(provenance = provenance(script)), content())),
                             file.path(arguments[2L], "lecture.json")),
         answer = cat(as_json(content())),
         stop("usage: Rscript lecture.R freeze DIR | answer"))
}

main()
