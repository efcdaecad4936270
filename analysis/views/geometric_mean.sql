-- The mean of ratios and rates; zero where one of them is zero, null where all are missing.
create macro geometric_mean(x) as case when min(x) <= 0 then 0.0 else exp(avg(ln(nullif(x, 0)))) end
