# The panel suite in R: plm's models and vcovHC.
packages <- "plm"

formula <- as.formula(paste("y ~", paste0("x", 1:10, collapse = " + ")))
prepare <- identity

# One model: its coefficients and their standard errors.
fitted_as <- function(model = "within", effect = "individual") list(
  stages = list(function(data, before) {
    fit <- plm(formula, data, effect = effect, model = model, index = c("id", "time"))
    list(coef(fit), sqrt(diag(vcov(fit))))
  }),
  check = unlist)

tasks <- list(
  within = fitted_as(),
  vcov_hc = list(
    stages = list(function(data, before) plm(formula, data, index = c("id", "time")),
                  function(data, fit) list(coef(fit), sqrt(diag(vcovHC(fit))))),
    check = unlist),
  twoways = fitted_as(effect = "twoways"),
  random = fitted_as(model = "random"),
  fd = fitted_as(model = "fd"))
