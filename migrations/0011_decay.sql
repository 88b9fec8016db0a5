-- The same as before but for how seconds are taken of an interval: `extract` gives a numeric, which becomes a number of
-- floating point by way of its digits, and that took longer than the power.
create or replace function decayed(weight double precision, age interval, half_life_days double precision)
returns double precision language sql immutable parallel safe as $$
  select case
    when weight < 1e-100 or date_part('epoch', age) > 500 * 86400 * half_life_days then 0
    else weight * power(2::double precision, -date_part('epoch', age) / (86400 * half_life_days))
  end
$$;
