# What R makes of a formula: model matrix, names, dropped rows, new data; and lme4's terms. JSON in, JSON out.
#   Rscript formula.R --serve               a request a line on stdin, an answer a line on stdout
#   Rscript formula.R --freeze CASES OUT    the battery of a file of fixtures/cases/formula, with its provenance
# Doubles leave as %.17g text, never through a JSON writer. Nothing outside the allowlist is evaluated.

suppressPackageStartupMessages({ library(jsonlite); library(splines); library(lme4) })
invisible(Sys.setlocale("LC_COLLATE", "C"))
options(warn = 1, stringsAsFactors = FALSE, contrasts = c("contr.treatment", "contr.poly"))

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
allowed_names <- c(readLines(file.path(here, "allowed.txt")), "~", ".", "treatment", "sum", "helmert", "SAS")

# ---- data ----------------------------------------------------------------------------------------------------------

#' The cells of a column; null and "NA" are missing.
cells <- function(values) {
  values[lengths(values) == 0L] <- NA
  values <- unlist(values)
  values[values %in% "NA"] <- NA
  values
}

read_column <- function(column) {
  switch(column$type,
    double = as.numeric(cells(column$values)),
    integer = as.integer(cells(column$values)),
    logical = as.logical(cells(column$values)),
    character = as.character(cells(column$values)),
    factor = structure(as.integer(cells(column$codes)), levels = as.character(unlist(column$levels)),
                       class = if (isTRUE(column$ordered)) c("ordered", "factor") else "factor"))
}

read_data <- function(columns) {
  values <- lapply(columns, read_column)
  structure(values, names = names(columns), class = "data.frame", row.names = seq_along(values[[1]]))
}

read_formula <- function(text, columns) {
  expression <- str2lang(text)
  if (!is.call(expression) || !identical(expression[[1]], as.name("~"))) stop("not a formula")
  unknown <- setdiff(all.names(expression), c(allowed_names, columns))
  if (length(unknown)) {
    variable <- unknown[1] %in% all.vars(expression)
    stop(if (variable) sprintf("object '%s' not found", unknown[1]) else sprintf("'%s' is not allowed", unknown[1]))
  }
  structure(expression, class = "formula", .Environment = new.env(parent = globalenv()))
}

error_kind <- function(message) {
  patterns <- c(
    "contrasts can be applied only to factors with 2 or more levels" = "one-level-factor",
    "object '.*' not found" = "unknown-column",
    "has new level" = "unseen-level",
    "variable lengths differ" = "cluster-length",
    "0 .non-NA. cases" = "no-rows",
    "invalid model formula|invalid power|invalid term|not a formula" = "formula-syntax",
    "^<text>|unexpected|parsing result|zero-length variable" = "formula-syntax",
    "is not allowed" = "formula-forbidden",
    "contextstack overflow" = "formula-too-large")
  for (pattern in names(patterns)) if (grepl(pattern, message)) return(patterns[[pattern]])
  "r-error"
}

number <- function(x) {
  text <- sprintf("%.17g", x)
  text[x %in% Inf] <- '"Inf"'
  text[x %in% -Inf] <- '"-Inf"'
  text[is.na(x)] <- '"NA"'
  text[is.nan(x)] <- '"NaN"'
  text
}
array_of <- function(items) paste0("[", paste(items, collapse = ","), "]")
numbers <- function(x) array_of(number(as.vector(x)))
text <- function(x) as.character(toJSON(x, auto_unbox = TRUE))
strings <- function(x) array_of(vapply(as.character(x), text, ""))
columns_of <- function(m) array_of(vapply(seq_len(ncol(m)), function(j) numbers(m[, j]), ""))
object <- function(...) {
  parts <- c(...)
  parts <- parts[!is.na(parts)]
  paste0("{", paste0('"', names(parts), '":', parts, collapse = ","), "}")
}

plain_numbers <- function(x) {
  if (is.null(x) || is.factor(x) || is.character(x) || is.matrix(x)) NA else numbers(as.numeric(x))
}
written <- function(e) paste(deparse(e, width.cutoff = 500L), collapse = " ")

# ---- what R makes of a formula -------------------------------------------------------------------------------------

matrix_answer <- function(job) {
  data <- read_data(job$data)
  formula <- read_formula(job$formula, names(data))
  frame <- model.frame(formula, data, na.action = na.omit, drop.unused.levels = TRUE)
  terms <- attr(frame, "terms")
  contrasts <- if (length(job$contrasts)) lapply(job$contrasts, as.character)
  X <- model.matrix(terms, frame, contrasts.arg = contrasts)
  offset <- tryCatch(model.offset(frame), error = function(e) NULL)
  object(
    deparse = strings(written(formula)), labels = strings(attr(terms, "term.labels")),
    variables = strings(vapply(as.list(attr(terms, "variables"))[-1], written, "")),
    names = strings(colnames(X)), assign = numbers(attr(X, "assign")), n = as.character(nrow(X)),
    dropped = strings(names(attr(frame, "na.action"))), response = plain_numbers(model.response(frame)),
    offset = plain_numbers(offset), X = columns_of(X),
    new = if (length(job$newdata)) new_answer(job, terms, frame, X) else NA)
}

new_answer <- function(job, terms, frame, X) {
  tryCatch({
    new <- read_data(job$newdata)
    terms <- delete.response(terms)
    frame <- model.frame(terms, new, na.action = na.pass, xlev = .getXlevels(terms, frame))
    stats::.checkMFClasses(attr(terms, "dataClasses"), frame)
    X <- model.matrix(terms, frame, contrasts.arg = attr(X, "contrasts"))
    object(names = strings(colnames(X)), X = columns_of(X))
  }, error = error_answer)
}

bars_answer <- function(job) {
  data <- read_data(job$data)
  formula <- read_formula(job$formula, names(data))
  control <- lmerControl(check.rankX = "ignore", check.scaleX = "ignore")
  parts <- lFormula(formula, data, control = control)
  random <- parts$reTrms
  Lambdat <- as(random$Lambdat, "dgTMatrix")
  object(
    deparse = strings(written(formula)), n = as.character(nrow(parts$fr)), names = strings(colnames(parts$X)),
    X = columns_of(parts$X), dropped = strings(names(attr(parts$fr, "na.action"))),
    groups = strings(names(random$cnms)), cnms = array_of(vapply(random$cnms, strings, "")),
    levels = array_of(vapply(random$flist[attr(random$flist, "assign")], function(f) strings(levels(f)), "")),
    Gp = numbers(random$Gp), lower = numbers(random$lower), theta = numbers(random$theta),
    Lind = numbers(random$Lind), lambda_row = numbers(Lambdat@j), lambda_column = numbers(Lambdat@i),
    rows = strings(rownames(random$Zt)),
    Z = columns_of(t(as.matrix(random$Zt))), offset = plain_numbers(model.offset(parts$fr)))
}

error_answer <- function(e) {
  message <- conditionMessage(e)
  object(error = object(kind = text(error_kind(message)), message = text(message)))
}

answer <- function(job) {
  make <- if (identical(job$what, "bars")) bars_answer else matrix_answer
  suppressMessages(suppressWarnings(tryCatch(make(job), error = error_answer)))
}

# ---- a line, a file ------------------------------------------------------------------------------------------------

#' A request: one data set and many formulas. Its answer is a list in the same order, one entry failing alone.
answer_line <- function(line) {
  request <- fromJSON(line, simplifyVector = FALSE)
  answers <- vapply(request$formulas, function(text) answer(c(request, list(formula = text))), "")
  object(id = text(request$id), quantities = object(answers = array_of(answers)))
}

serve <- function() {
  input <- file("stdin", "r")
  while (length(line <- readLines(input, n = 1L, warn = FALSE))) {
    cat(answer_line(line), "\n", sep = "")
    flush(stdout())
  }
}

sha256 <- function(path) sub(" .*", "", system2("sha256sum", shQuote(path), stdout = TRUE))

provenance <- function(cases) {
  packages <- c("base", "stats", "splines", "lme4", "Matrix", "jsonlite")
  object(
    r = text(R.version.string), platform = text(R.version$platform), locale = text(Sys.getlocale("LC_COLLATE")),
    packages = object(vapply(packages, function(p) text(as.character(packageVersion(p))), "")),
    script = text(sha256(file.path(here, "formula.R"))), cases = text(sha256(cases)), date = text(format(Sys.Date())))
}

freeze <- function(cases, out) {
  battery <- fromJSON(cases, simplifyVector = FALSE)
  frozen <- vapply(battery$cases, function(case) {
    job <- list(what = battery$what, formula = case$formula, contrasts = case$contrasts,
                data = battery$data[[case$data]],
                newdata = if (length(case$newdata)) battery$data[[case$newdata]])
    paste0("    ", text(case$id), ": ", answer(job))
  }, "")
  writeLines(c("{", paste0('  "provenance": ', provenance(cases), ","), '  "cases": {',
               paste(frozen, collapse = ",\n"), "  }", "}"), out)
}

arguments <- commandArgs(trailingOnly = TRUE)
if (identical(arguments, "--serve")) serve()
if (length(arguments) == 3L && arguments[1] == "--freeze") freeze(arguments[2], arguments[3])
