# What R prints, kept as it came off the console: every session of prints/*.R runs in an R of its own.
#
#   Rscript compat/r/prints.R OUT [NAME ...]
#
# Each session is fed to `R --vanilla` line by line, so that prompts and continuation lines are R's, with the folder of
# the data sets as working directory. OUT/NAME.txt is its standard output, OUT/NAME.json says where it comes from.
# A session that needs a package that is not here is left out, and said so.

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1]))
source_folder <- normalizePath(file.path(here, "prints"))
data_folder <- normalizePath(file.path(here, "..", "..", "fixtures", "data"))

sha256 <- function(file) sub(" .*", "", system2("sha256sum", shQuote(file), stdout = TRUE))

#' The packages that a session attaches.
packages_of <- function(lines) {
  calls <- regmatches(lines, regexpr("(?<=^library\\()\\w+", lines, perl = TRUE))
  unique(calls)
}

run_session <- function(file) {
  environment <- c("LC_ALL=C.UTF-8", "LANGUAGE=en", "OPENBLAS_NUM_THREADS=1", "COLUMNS=")
  old <- setwd(data_folder)
  on.exit(setwd(old))
  system2(file.path(R.home("bin"), "R"), c("--vanilla", "--quiet"), stdin = file, stdout = TRUE, env = environment)
}

provenance <- function(name, file, lines, packages) {
  data <- unlist(regmatches(lines, gregexpr('(?<=read.csv\\(")[^"]+', lines, perl = TRUE)))
  list(
    session = name,
    claims = "the console output of this R, prompts included",
    r_version = R.version.string,
    packages = as.list(vapply(packages, function(p) as.character(packageVersion(p)), "")),
    platform = R.version$platform,
    blas = basename(extSoftVersion()[["BLAS"]]),
    lapack = La_version(),
    locale = "C.UTF-8",
    data = as.list(unique(data)),
    session_sha256 = sha256(file),
    date = format(Sys.Date())
  )
}

keep <- function(file, out) {
  name <- sub("\\.R$", "", basename(file))
  lines <- readLines(file)
  packages <- packages_of(lines)
  absent <- packages[!vapply(packages, requireNamespace, NA, quietly = TRUE)]
  if (length(absent)) {
    cat(name, ": left out, without ", paste(absent, collapse = ", "), "\n", sep = "")
    return(invisible())
  }
  printed <- run_session(file)
  stopifnot("a session ends at its last prompt" = identical(printed[length(printed)], "> "))
  writeLines(printed[-length(printed)], file.path(out, paste0(name, ".txt")))
  about <- jsonlite::toJSON(provenance(name, file, lines, packages), auto_unbox = TRUE, pretty = 2)
  writeLines(about, file.path(out, paste0(name, ".json")))
  cat(name, ": ", length(printed) - 1, " lines\n", sep = "")
}

main <- function(arguments) {
  out <- arguments[1]
  dir.create(out, showWarnings = FALSE, recursive = TRUE)
  files <- sort(list.files(source_folder, "\\.R$", full.names = TRUE))
  if (length(arguments) > 1) files <- files[sub("\\.R$", "", basename(files)) %in% arguments[-1]]
  for (file in files) keep(file, out)
}

main(commandArgs(trailingOnly = TRUE))
