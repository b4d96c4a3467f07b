-- Part 10, only in the library that a bench loads: reservations made here, because redis-benchmark
-- sends text and digits alone. What is measured is the function that decides in a sale.

-- vetrina_bench. ARGV 4: listing, 32 hexadecimal digits; 5: 12 digits that differ from call to
-- call; 6: how many reservations of as many buyers. Result: as `vetrina_apply`.
on_show('vetrina_bench', function(args)
  local listing = string.gsub(args[4], '..', function(pair)
    return char(tonumber(pair, 16))
  end)
  -- One unit, no media time, a name.
  local rest = pack('>I4', 1) .. string.rep(char(0), 9) .. pack('>I2', 3) .. 'Ada'
  local batch = { args[1], args[2], args[3] }
  for i = 1, tonumber(args[6]) do
    local id = pack('>I4', i) .. args[5]
    batch[i + 3] = 'R' .. id .. listing .. id .. rest
  end
  return apply(batch)
end)
