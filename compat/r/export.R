# Writes a data set of an R package as CSV: Rscript --vanilla export.R PACKAGE OBJECT FILE
# Numbers have as few digits as give the same double back, factors are their labels, a missing value is NA.

shortest <- function(x) {
  for (digits in 15:17) {
    text <- formatC(x, digits = digits, format = "g", width = 1L)
    if (isTRUE(all.equal(as.double(text), x, tolerance = 0))) return(text)
  }
  text
}

as_text <- function(column) {
  if (!is.double(column)) return(ifelse(is.na(column), "NA", as.character(column)))
  ifelse(is.na(column), "NA", vapply(as.double(column), shortest, ""))
}

arguments <- commandArgs(trailingOnly = TRUE)
room <- new.env()
utils::data(list = arguments[2L], package = arguments[1L], envir = room)
frame <- as.data.frame(room[[arguments[2L]]])
text <- as.data.frame(lapply(frame, as_text), check.names = FALSE)
utils::write.csv(text, arguments[3L], row.names = FALSE, quote = FALSE, eol = "\n", fileEncoding = "UTF-8")
