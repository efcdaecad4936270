-- A scale as the options that give it: services=1000, then what differs from one endpoint, no policy and no churn.
create macro scale_text(services, endpoints, policies, churn_per_s) as
    'services=' || coalesce(services, 0)
    || case when endpoints <> 1 then ' endpoints=' || endpoints else '' end
    || case when policies <> 0 then ' policies=' || policies else '' end
    || case when churn_per_s <> 0 then ' churn=' || printf('%g', churn_per_s) else '' end
