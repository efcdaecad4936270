-- A scale as the options that give it: services=1000, then what differs from one endpoint, no policy and no churn.
create macro scale_text({scale}) as {scale_in_words}
