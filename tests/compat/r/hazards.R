# Estimators that do what a fit must never be able to do to the harness: named by RCOMPAT_R_EXTRA, in tests only.

hazard <- function(name, action) register(paste0("hazard_", name), function(request) action(request))
answer_with <- function(quantity) list(call = quote(hazard()), quantities = list(value = function() quantity))

hazard("error", function(request) stop("this fit always fails"))
hazard("quit", function(request) quit(save = "no"))
hazard("segfault", function(request) tools::pskill(Sys.getpid(), 11L))
hazard("loop", function(request) repeat {})
hazard("recursion", function(request) (function(f) f(f))(function(f) f(f)))

# A grandchild that outlives a killed child unless its whole group is killed; its process id goes into a file.
hazard("orphan", function(request) {
  system(sprintf("sleep 600 & echo $! > %s", shQuote(request$options$file)))
  repeat {}
})

# Everything that could end up on stdout between two protocol lines.
hazard("noise", function(request) {
  cat("{\"id\": \"a line that looks like an answer\"}\n")
  print("printed")
  message("a message")
  warning("a warning")
  answer_with(1)
})

# What was sent, sent back: the column `x` and, by position, what is.na() and is.nan() say of it.
register("echo", function(request) {
  x <- request$data$x
  list(call = quote(echo(x)), quantities = list(
    x = function() setNames(x, row.names(request$data)),
    missing = function() setNames(as.double(is.na(x) & !is.nan(x)), row.names(request$data)),
    not_a_number = function() setNames(as.double(is.nan(x)), row.names(request$data))
  ))
})
