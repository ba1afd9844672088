# What R makes of a formula: model matrix, names, dropped rows, new data; and lme4's terms. One JSON job in, one JSON answer out.
#   Rscript formula.R --serve               a job a line on stdin, an answer a line on stdout
#   Rscript formula.R --freeze CASES OUT    the battery of a case file, frozen with its provenance
# Doubles leave as %.17g text, never through a JSON writer. Nothing outside the allowlist is evaluated.

suppressPackageStartupMessages({ library(jsonlite); library(splines); library(lme4) })
invisible(Sys.setlocale("LC_COLLATE", "C"))
options(warn = 1, stringsAsFactors = FALSE, contrasts = c("contr.treatment", "contr.poly"))

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
allowed_names <- c(readLines(file.path(here, "allowed.txt")), "~", ".", "treatment", "sum", "helmert", "SAS")

read_column <- function(column) {
  switch(column$type,
    double = as.numeric(unlist(column$values)),
    integer = as.integer(unlist(column$values)),
    logical = as.logical(unlist(column$values)),
    character = vapply(column$values, function(v) if (is.null(v)) NA_character_ else as.character(v), ""),
    factor = {
      codes <- vapply(column$codes, function(k) if (is.null(k)) NA_integer_ else as.integer(k), 1L)
      structure(codes, levels = as.character(unlist(column$levels)),
                class = if (isTRUE(column$ordered)) c("ordered", "factor") else "factor")
    })
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
    "object '.*' not found" = "unknown-column", "has new level" = "unseen-level", "variable lengths differ" = "cluster-length",
    "0 .non-NA. cases" = "no-rows",
    "invalid model formula|invalid power|invalid term|^<text>|unexpected|parsing result|not a formula|zero-length variable" =
      "formula-syntax",
    "is not allowed" = "formula-forbidden", "contextstack overflow" = "formula-too-large")
  for (pattern in names(patterns)) if (grepl(pattern, message)) return(patterns[[pattern]])
  "r-error"
}

number <- function(x) {
  text <- sprintf("%.17g", x)
  special <- !is.finite(x)
  text[special] <- ifelse(is.nan(x[special]), '"NaN"', ifelse(is.na(x[special]), '"NA"', ifelse(x[special] > 0, '"Inf"', '"-Inf"')))
  text
}
array_of <- function(items) paste0("[", paste(items, collapse = ","), "]")
numbers <- function(x) array_of(number(as.vector(x)))
strings <- function(x) array_of(vapply(as.character(x), function(s) as.character(toJSON(s, auto_unbox = TRUE)), ""))
columns_of <- function(m) array_of(vapply(seq_len(ncol(m)), function(j) numbers(m[, j]), ""))
object <- function(...) {
  parts <- c(...)
  parts <- parts[!is.na(parts)]
  paste0("{", paste0('"', names(parts), '":', parts, collapse = ","), "}")
}

plain_numbers <- function(x) if (is.null(x) || is.factor(x) || is.character(x) || is.matrix(x)) NA else numbers(as.numeric(x))

matrix_answer <- function(job) {
  data <- read_data(job$data)
  formula <- read_formula(job$formula, names(data))
  frame <- model.frame(formula, data, na.action = na.omit, drop.unused.levels = TRUE)
  terms <- attr(frame, "terms")
  contrasts <- if (length(job$contrasts)) lapply(job$contrasts, as.character)
  X <- model.matrix(terms, frame, contrasts.arg = contrasts)
  offset <- tryCatch(model.offset(frame), error = function(e) NULL)
  object(
    deparse = strings(paste(deparse(formula, width.cutoff = 500L), collapse = " ")), labels = strings(attr(terms, "term.labels")),
    variables = strings(vapply(as.list(attr(terms, "variables"))[-1], function(v) paste(deparse(v, 500L), collapse = " "), "")),
    names = strings(colnames(X)), assign = numbers(attr(X, "assign")), n = as.character(nrow(X)),
    dropped = strings(names(attr(frame, "na.action"))), response = plain_numbers(model.response(frame)),
    offset = plain_numbers(offset), X = columns_of(X), new = if (length(job$newdata)) new_answer(job, terms, frame, X) else NA)
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
    deparse = strings(paste(deparse(formula, width.cutoff = 500L), collapse = " ")), n = as.character(nrow(parts$fr)),
    names = strings(colnames(parts$X)), X = columns_of(parts$X), dropped = strings(names(attr(parts$fr, "na.action"))),
    groups = strings(names(random$cnms)), cnms = array_of(vapply(random$cnms, strings, "")),
    levels = array_of(vapply(random$flist[attr(random$flist, "assign")], function(f) strings(levels(f)), "")),
    Gp = numbers(random$Gp), lower = numbers(random$lower), theta = numbers(random$theta), Lind = numbers(random$Lind),
    lambda_row = numbers(Lambdat@j), lambda_column = numbers(Lambdat@i), rows = strings(rownames(random$Zt)),
    Z = columns_of(t(as.matrix(random$Zt))), offset = plain_numbers(model.offset(parts$fr)))
}

error_answer <- function(e) {
  message <- conditionMessage(e)
  object(error = object(kind = strings1(error_kind(message)), message = strings1(message)))
}
strings1 <- function(x) as.character(toJSON(x, auto_unbox = TRUE))

answer <- function(job) {
  suppressMessages(suppressWarnings(tryCatch(if (identical(job$what, "bars")) bars_answer(job) else matrix_answer(job), error = error_answer)))
}

serve <- function() {
  input <- file("stdin", "r")
  repeat {
    line <- readLines(input, n = 1L, warn = FALSE)
    if (!length(line)) break
    cat(answer(fromJSON(line, simplifyVector = FALSE)), "\n", sep = "")
    flush(stdout())
  }
}

arguments <- commandArgs(trailingOnly = TRUE)
if (identical(arguments, "--serve")) serve()
