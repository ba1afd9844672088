# R in a process of its own: JSON requests from stdin, line by line, JSON answers on stdout.
#   Rscript child.R SUITE      SUITE.R defines `packages` (to attach), `prepare` (not timed) and `tasks`
# A task is a list of stages, functions of the data and of the stage before, and `check`, what is compared.

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1L]))
source(file.path(here, paste0(commandArgs(TRUE)[1L], ".R")))

missing_packages <- function() Filter(function(p) !requireNamespace(p, quietly = TRUE), c("jsonlite", packages))

read_data <- function(directory) {
  about <- jsonlite::fromJSON(file.path(directory, "columns.json"), simplifyVector = FALSE)
  file <- file(file.path(directory, "columns.bin"), "rb")
  on.exit(close(file))
  columns <- lapply(about$columns, function(column) {
    values <- readBin(file, "double", about$rows, size = 8L, endian = "little")
    switch(column$kind, double = values, integer = as.integer(values),
           factor = structure(as.integer(values), levels = unlist(column$levels), class = "factor"))
  })
  names(columns) <- vapply(about$columns, `[[`, "", "name")
  list2DF(columns)
}

# Seconds with microseconds in them, which proc.time has not.
now <- function() as.numeric(Sys.time())

timed <- function(task) {
  gc()
  result <- NULL
  seconds <- numeric(0)
  for (stage in task$stages) {
    begin <- now()
    result <- stage(data, result)
    seconds <- c(seconds, now() - begin)
  }
  list(seconds = seconds, check = as.double(task$check(result)))
}

blas <- function() basename(unname(extSoftVersion()["BLAS"]))

versions <- function() {
  attached <- vapply(packages, function(p) paste(p, packageVersion(p)), "")
  paste(c(paste0("R ", getRversion()), attached), collapse = ", ")
}

data <- NULL
actions <- list(
  about = function(request) list(version = versions(), blas = blas(), tasks = I(names(tasks))),
  load = function(request) {
    data <<- NULL
    data <<- prepare(read_data(request$directory))
    list(columns = length(data))
  },
  run = function(request) {
    runs <- lapply(seq_len(request$times), function(i) timed(tasks[[request$task]]))
    list(seconds = lapply(runs, function(run) I(run$seconds)), check = I(runs[[length(runs)]]$check))
  })

answer <- function(line) tryCatch({
  request <- jsonlite::fromJSON(line, simplifyVector = FALSE)
  list(quantities = actions[[request$do]](request))
}, error = function(e) list(error = list(kind = "failed", message = conditionMessage(e))))

serve <- function() {
  missing <- missing_packages()
  refusal <- sprintf('{"error": {"kind": "missing", "message": "R package %s"}}', missing[1L])
  if (!length(missing)) for (p in packages) suppressPackageStartupMessages(library(p, character.only = TRUE))
  requests <- file("stdin")
  open(requests, "r")
  while (length(line <- readLines(requests, n = 1L, warn = FALSE))) {
    text <- if (length(missing)) refusal
            else jsonlite::toJSON(answer(line), auto_unbox = TRUE, digits = NA)
    writeLines(as.character(text), stdout())
    flush(stdout())
  }
}

serve()
