suppressMessages(library(rms))
id<-seq(1,100,1) # 100 observations
set.seed(7222009)
x<-rnorm(100) # N(0.1) noise
y<-1+1*x+rnorm(100)*abs(x)
fit<-ols(y~x,x=TRUE,y=TRUE)
fit
RVCV<-robcov(fit)
RVCV
bigID<-rep(id,16)
bigX<-rep(x,16)
bigY<-rep(y,16)
bigdata<-as.data.frame(cbind(bigID,bigY,bigX))
bigOLS<-ols(bigY~bigX,data=bigdata,x=TRUE,y=TRUE)
bigOLS
BigRVCV<-robcov(bigOLS,bigdata$bigID)
BigRVCV
